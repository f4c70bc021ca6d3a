// The only file that includes fmt; see text.h.
#include "core/text.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace tailor::core {

std::string format_arguments(std::string_view pattern, std::initializer_list<Argument> arguments) {
    fmt::dynamic_format_arg_store<fmt::format_context> store;
    for (const Argument& a : arguments) {
        switch (a.kind) {
            case Argument::Kind::signed_integer: store.push_back(a.signed_value); break;
            case Argument::Kind::unsigned_integer: store.push_back(a.unsigned_value); break;
            case Argument::Kind::real: store.push_back(a.real_value); break;
            case Argument::Kind::boolean: store.push_back(a.boolean_value); break;
            case Argument::Kind::text: store.push_back(a.text_value); break;
        }
    }
    try {
        return fmt::vformat(fmt::string_view(pattern.data(), pattern.size()), store);
    } catch (const fmt::format_error& error) {
        throw Error(ErrorKind::bug, "bad message pattern '" + std::string(pattern) + "': " + error.what());
    }
}

std::string human_bytes(double bytes) {
    const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (std::fabs(bytes) >= 1024 && unit < 4) bytes /= 1024, ++unit;
    return unit == 0 ? format("{:.0f} B", bytes) : format("{:.2f} {}", bytes, units[unit]);
}

std::uint64_t parse_bytes(std::string_view text, std::string_view what) {
    const std::string copy(text);
    char* end = nullptr;
    const double number = std::strtod(copy.c_str(), &end);
    std::string unit = lower(end);
    unit.erase(std::remove(unit.begin(), unit.end(), ' '), unit.end());
    if (!unit.empty() && unit.back() == 'b') unit.pop_back();
    double scale = 1;
    if (!unit.empty()) {
        const std::size_t power = std::string_view("kmgt").find(unit[0]);
        const bool binary = unit.size() == 2 && unit[1] == 'i';
        if (power == std::string_view::npos || (unit.size() > 1 && !binary)) end = nullptr;
        else scale = std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power + 1));
    }
    const double bytes = number * scale;
    if (end == nullptr || end == copy.c_str() || !(bytes >= 1) || bytes > 9e18)
        fail(ErrorKind::usage, "{}: '{}' is not a size; write for example 1.5GB, 700MiB or 4096", what, text);
    return static_cast<std::uint64_t>(bytes);
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string result;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i) result += separator;
        result += parts[i];
    }
    return result;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    if (text.empty()) return parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && lower(text.substr(0, prefix.size())) == lower(prefix);
}

static std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    for (const char c : text) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return width;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
        for (std::size_t c = 0; c < row.size(); ++c) {
            if (widths.size() <= c) widths.push_back(0);
            widths[c] = std::max(widths[c], display_width(row[c]));
        }
    // Figures with their units are short; a sentence may begin with a digit, too.
    const auto is_number = [](const std::string& cell) {
        return !cell.empty() && cell.size() <= 24 && (std::isdigit(static_cast<unsigned char>(cell[0])) || ((cell[0] == '-' || cell[0] == '+') && cell.size() > 1));
    };
    std::string result;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string line;
        for (std::size_t c = 0; c < rows[r].size(); ++c) {
            const std::string& cell = rows[r][c];
            const std::string padding(widths[c] - display_width(cell), ' ');
            const std::string& model = r == 0 && rows.size() > 1 && c < rows[1].size() ? rows[1][c] : cell;
            line += (c ? "  " : "") + (is_number(model) ? padding + cell : cell + padding);
        }
        while (!line.empty() && line.back() == ' ') line.pop_back();
        result += line + "\n";
    }
    return result;
}

std::string html_escape(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&': result += "&amp;"; break;
            case '<': result += "&lt;"; break;
            case '>': result += "&gt;"; break;
            case '"': result += "&quot;"; break;
            default: result += c;
        }
    }
    return result;
}

bool is_utf8(std::string_view text) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = p + text.size();
    while (p < end) {
        if (*p < 0x80) { ++p; continue; }
        const int length = *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : 2;
        if (*p < 0xC2 || *p > 0xF4 || end - p < length) return false;
        std::uint32_t code = *p & (0x7F >> length);
        for (int i = 1; i < length; ++i) {
            if ((p[i] & 0xC0) != 0x80) return false;
            code = code << 6 | (p[i] & 0x3F);
        }
        const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
        if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
        p += length;
    }
    return true;
}

}  // namespace tailor::core
