// Filters that give text or a number from one value: upper, trim, int, tojson, default ...
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/templates/builtins.h"
#include "text/templates/characters.h"

namespace tailor::text::templates {
namespace {

using core::ErrorKind;

/// What stands before the bar, as text: most filters take any value.
std::string self_text(const Call& call) { return to_text(call.runtime, call.self); }
Value made(const Call& call, std::string text) { return call.runtime.text(std::move(text)); }

Value trim(const Call& call) {
    const std::string text = self_text(call);
    if (call.lacks(0)) return made(call, std::string(right_stripped(left_stripped(text))));
    return made(call, std::string(right_stripped(left_stripped(text, call.text(0)), call.text(0))));
}

// Every word's first letter; words begin after white space, hyphens and opening brackets.
Value title(const Call& call) {
    const std::string text = self_text(call);
    const auto separates = [](char32_t c) {
        return is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
    };
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        const bool gap = separates(character(text, at));
        while (end < text.size() && separates(character(text, end)) == gap) end += character_bytes(text, end);
        const std::string word = text.substr(at, end - at);
        const std::size_t first = character_bytes(word, 0);
        result += upper(word.substr(0, first)) + lower(word.substr(first));
        at = end;
    }
    return made(call, std::move(result));
}

Value replace(const Call& call) {
    Arguments given{{call[0], call[1]}, {}};
    for (Value& value : given.positions) value = call.runtime.text(to_text(call.runtime, value));
    if (!call.lacks(2)) given.positions.push_back(call[2]);
    return run_builtin(call.runtime, *find_method(Type::text, "replace"), call.runtime.text(self_text(call)), given);
}

Value center(const Call& call) {
    const Arguments given{{Value::integer(call.integer(0, 80))}, {}};
    return run_builtin(call.runtime, *find_method(Type::text, "center"), call.runtime.text(self_text(call)), given);
}

// Every line but the first (and but blank ones) begins with `width` blanks, or with `width` itself if it is text.
Value indent(const Call& call) {
    const std::string text = self_text(call);
    const bool first = call.truth(1, false), blank = call.truth(2, false);
    const std::int64_t width = call.has(0) && call[0].is(Type::text) ? 0 : call.integer(0, 4);
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    std::size_t growth = 0;
    call.runtime.check_size(__builtin_mul_overflow(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), lines, &growth) ? SIZE_MAX : growth);
    const std::string margin = call.has(0) && call[0].is(Type::text) ? std::string(call.text(0))
                                                                     : std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    call.runtime.check_size(text.size() + lines * margin.size());
    std::string result = first ? margin : std::string();
    std::size_t at = 0;
    for (std::size_t line = 0; line < lines; ++line) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        if (line > 0) result += "\n";
        if (line > 0 && (blank || end > at)) result += margin;
        result += text.substr(at, end - at);
        at = end + 1;
    }
    return made(call, std::move(result));
}

Value escape(const Call& call) {
    Output out(call.runtime, call.runtime.limits().bytes);
    for (const char c : self_text(call)) {
        if (c == '&') out.write("&amp;");
        else if (c == '<') out.write("&lt;");
        else if (c == '>') out.write("&gt;");
        else if (c == '\'') out.write("&#39;");
        else if (c == '"') out.write("&#34;");
        else out.write({&c, 1});
    }
    return made(call, out.take());
}

// At most `length` characters and some tolerance; cut at a blank unless `killwords`.
Value truncate(const Call& call) {
    const std::string text = self_text(call);
    const std::int64_t most = call.integer(0, 255), leeway = call.integer(3, 5);
    const std::string end(call.text(2, "..."));
    if (!call.self.is(Type::text) && length(call.runtime, call.self) <= most + leeway) return call.self;
    const std::vector<std::size_t> offsets = character_offsets(text);
    if (static_cast<std::int64_t>(offsets.size()) - 1 <= most + leeway) return made(call, text);
    const std::int64_t kept = most - static_cast<std::int64_t>(count_characters(end));
    if (kept < 0 || leeway < 0) call.mistake("needs a length of at least its end's and a leeway of at least 0");
    std::string result = text.substr(0, offsets[static_cast<std::size_t>(kept)]);
    if (!call.truth(1, false)) result = result.substr(0, result.rfind(' '));
    return made(call, result + end);
}

Value word_count(const Call& call) {
    const std::string text = self_text(call);
    std::int64_t count = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size(); at += character_bytes(text, at)) {
        const char32_t c = character(text, at);
        const bool word = is_letter(c) || is_digit(c) || c == '_';
        count += word && !inside;
        inside = word;
    }
    return Value::integer(count);
}

// ---- numbers ----

/// Text as a number the way int() and float() read it: blanks around it and single underscores between digits.
std::string number_text(std::string_view text) {
    std::string result(right_stripped(left_stripped(text)));
    for (std::size_t at = result.find('_', 1); at != std::string::npos && at + 1 < result.size(); at = result.find('_', at)) {
        if (result[at - 1] < '0' || result[at + 1] < '0') break;
        result.erase(at, 1);
    }
    return !result.empty() && result[0] == '+' ? result.substr(1) : result;
}

bool read_real(const std::string& text, double& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return (error == std::errc() || error == std::errc::result_out_of_range) && end == text.data() + text.size();
}

Value truncated(const Call& call, double value) {
    if (!(std::fabs(value) < 9.2e18)) call.runtime.fail(ErrorKind::unsupported, "the integer {} does not fit in 64 bits", real_text(value));
    return Value::integer(static_cast<std::int64_t>(value));
}

Value to_integer(const Call& call) {
    const Value fallback = call.has(0) ? call[0] : Value::integer(0);
    if (call.self.is_integral()) return Value::integer(call.self.as_integer());
    if (call.self.is(Type::real)) return std::isfinite(call.self.as_real()) ? truncated(call, call.self.as_real()) : fallback;
    if (call.self.is(Type::undefined)) refuse_undefined(call.runtime, call.self);
    if (!call.self.is(Type::text)) return fallback;
    std::string text = number_text(call.self.as_text());
    int base = static_cast<int>(call.integer(1, 10));
    if (base < 2 || base > 36) call.mistake("needs a base from 2 to 36");
    const bool negative = !text.empty() && text[0] == '-';
    std::string digits = text.substr(negative);
    if (digits.size() > 2 && digits[0] == '0' &&
        ((base == 16 && (digits[1] | 0x20) == 'x') || (base == 8 && (digits[1] | 0x20) == 'o') || (base == 2 && (digits[1] | 0x20) == 'b')))
        digits = digits.substr(2);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error == std::errc() && end == digits.data() + digits.size() && digits[0] != '-') return Value::integer(negative ? -value : value);
    double real = 0;
    return read_real(text, real) && std::isfinite(real) ? truncated(call, real) : fallback;
}

Value to_real(const Call& call) {
    if (call.self.is_number()) return Value::real(call.self.as_real());
    if (call.self.is(Type::undefined)) refuse_undefined(call.runtime, call.self);
    double value = 0;
    if (call.self.is(Type::text) && read_real(number_text(call.self.as_text()), value)) return Value::real(value);
    return call.has(0) ? call[0] : Value::real(0);
}

// Common rounding gives the even neighbour of a tie, on the exact decimal expansion, as printf does.
Value round(const Call& call) {
    if (!call.self.is_number()) call.mistake("needs a number, not '{}'", type_name(call.self));
    const std::int64_t precision = call.integer(0, 0);
    const std::string_view method = call.text(1, "common");
    const double value = call.self.as_real();
    if (precision < -300 || precision > 300) call.mistake("needs a precision from -300 to 300");
    const double scale = std::pow(10.0, static_cast<double>(precision));
    if (method == "ceil") return Value::real(std::ceil(value * scale) / scale);
    if (method == "floor") return Value::real(std::floor(value * scale) / scale);
    if (method != "common") call.mistake("knows the methods common, ceil and floor, not '{}'", method);
    if (call.self.is_integral() && precision >= 0) return Value::integer(call.self.as_integer());
    if (!std::isfinite(value)) return Value::real(value);
    if (precision < 0) {
        const double rounded = std::nearbyint(value * scale) / scale;
        return call.self.is_integral() ? truncated(call, rounded) : Value::real(rounded);
    }
    char buffer[700];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value);
    return Value::real(std::strtod(buffer, nullptr));
}

Value absolute(const Call& call) {
    if (call.self.is(Type::real)) return Value::real(std::fabs(call.self.as_real()));
    if (!call.self.is_integral()) call.mistake("needs a number, not '{}'", type_name(call.self));
    return call.self.as_integer() < 0 ? negated(call.runtime, call.self) : Value::integer(call.self.as_integer());
}

// ---- others ----

Value fallback(const Call& call) {
    const bool replaces = call.self.is(Type::undefined) || (call.truth(1, false) && !truth(call.self));
    if (!replaces) return call.self;
    return call.has(0) ? call[0] : Value::constant("");
}

Value to_json(const Call& call) {
    const bool wide = !call.lacks(1);
    std::string item_separator = wide ? "," : ", ", key_separator = ": ";
    if (!call.lacks(2)) {
        const std::vector<Value> two = items(call.runtime, call[2]);
        if (two.size() != 2) call.mistake("needs two separators");
        item_separator = to_text(call.runtime, two[0]), key_separator = to_text(call.runtime, two[1]);
    }
    const std::int64_t width = wide ? call.integer(1, 0) : -1;
    return made(call, json_text(call.runtime, call.self, wide ? std::max<std::int64_t>(width, 0) : -1, call.truth(0, false), call.truth(3, false),
                                item_separator, key_separator));
}

constexpr Builtin table[] = {
    {"upper", "", [](const Call& c) { return made(c, upper(self_text(c))); }},
    {"lower", "", [](const Call& c) { return made(c, lower(self_text(c))); }},
    {"capitalize", "", [](const Call& c) { return made(c, capitalized(self_text(c))); }},
    {"title", "", title},
    {"trim", "chars", trim},
    {"strip", "chars", trim},
    {"replace", "old new count", replace},
    {"center", "width", center},
    {"indent", "width first blank", indent},
    {"truncate", "length killwords end leeway", truncate},
    {"wordcount", "", word_count},
    {"escape", "", escape},
    {"e", "", escape},
    {"forceescape", "", escape},
    {"safe", "", [](const Call& c) { return made(c, self_text(c)); }},
    {"string", "", [](const Call& c) { return made(c, self_text(c)); }},
    {"format", "*",
     [](const Call& c) {
         const Value values = c.arguments.positions.size() == 1 && c.arguments.positions[0].is(Type::dict)
                                  ? c.arguments.positions[0]
                                  : c.runtime.list(c.arguments.positions, List::Nature::tuple);
         return made(c, percent_format(c.runtime, self_text(c), values));
     }},
    {"int", "default base", to_integer},
    {"float", "default", to_real},
    {"round", "precision method", round},
    {"abs", "", absolute},
    {"default", "default_value boolean", fallback},
    {"d", "default_value boolean", fallback},
    {"tojson", "ensure_ascii indent separators sort_keys", to_json},
    {"attr", "name", [](const Call& c) { return attribute(c.runtime, c.self, c.text(0)); }},
};

}  // namespace

std::span<const Builtin> text_filters() { return table; }

}  // namespace tailor::text::templates
