// Methods of text: str of Python, without what needs bytes or locales.
#include <algorithm>

#include "text/templates/builtins.h"
#include "text/templates/characters.h"

namespace tailor::text::templates {
namespace {

Value made(const Call& call, std::string text) { return call.runtime.text(std::move(text)); }
Value made(const Call& call, std::string_view text) { return call.runtime.text(std::string(text)); }

Value strip(const Call& call, bool left, bool right) {
    std::string_view text = call.self.as_text();
    const bool by_set = !call.lacks(0);
    const std::string_view set = by_set ? call.text(0) : std::string_view();
    call.runtime.work(by_set ? set.size() / 8 * text.size() / 8 : 0);
    if (left) text = by_set ? left_stripped(text, set) : left_stripped(text);
    if (right) text = by_set ? right_stripped(text, set) : right_stripped(text);
    return made(call, text);
}

// ---- searching ----

/// The slice of self between two optional positions, and the byte where it begins.
std::string_view between(const Call& call, std::size_t start, std::size_t end, std::size_t& offset) {
    const std::string_view text = call.self.as_text();
    offset = 0;
    if (call.lacks(start) && call.lacks(end)) return text;
    const std::vector<std::size_t> offsets = character_offsets(text);
    const auto size = static_cast<std::int64_t>(offsets.size()) - 1;
    const auto clamped = [&](std::size_t i, std::int64_t fallback) {
        const std::int64_t at = call.lacks(i) ? fallback : call.integer(i, 0);
        return static_cast<std::size_t>(std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size));
    };
    const std::size_t first = clamped(start, 0), last = std::max(first, clamped(end, size));
    offset = offsets[first];
    return text.substr(offset, offsets[last] - offset);
}

Value position(const Call& call, bool from_right, bool must_be_there) {
    std::size_t offset = 0;
    const std::string_view text = between(call, 1, 2, offset);
    const std::size_t at = from_right ? text.rfind(call.text(0)) : text.find(call.text(0));
    if (at != std::string_view::npos) return Value::integer(static_cast<std::int64_t>(count_characters(call.self.as_text().substr(0, offset + at))));
    if (must_be_there) call.mistake("does not find '{}'", call.text(0));
    return Value::integer(-1);
}

std::int64_t occurrences(std::string_view text, std::string_view part) {
    if (part.empty()) return static_cast<std::int64_t>(count_characters(text)) + 1;
    std::int64_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
    return count;
}

/// `part` is a text or a tuple of texts, one of which fits.
Value at_end(const Call& call, bool front) {
    std::size_t offset = 0;
    const std::string_view text = between(call, 1, 2, offset);
    const auto fits = [&](const Value& part) {
        if (!part.is(Type::text)) call.mistake("needs text, not '{}'", type_name(part));
        const std::string_view p = part.as_text();
        return p.size() <= text.size() && (front ? text.substr(0, p.size()) : text.substr(text.size() - p.size())) == p;
    };
    const Value& parts = call[0];
    if (!parts.is(Type::list)) return Value::boolean(fits(parts));
    return Value::boolean(std::any_of(parts.as_list().items.begin(), parts.as_list().items.end(), fits));
}

Value replace(const Call& call) {
    const std::string_view text = call.self.as_text(), old = call.text(0), with = call.text(1);
    std::int64_t count = occurrences(text, old);
    if (call.has(2) && call.integer(2, -1) >= 0) count = std::min(count, call.integer(2, -1));
    std::size_t growth = 0;
    call.runtime.check_size(__builtin_mul_overflow(static_cast<std::size_t>(count), with.size(), &growth) ? SIZE_MAX : text.size() + growth);
    std::string result;
    std::size_t at = 0;
    for (; count > 0; --count) {
        const std::size_t found = text.find(old, at);
        result += text.substr(at, found - at);
        result += with;
        at = found + old.size();
        if (old.empty() && at < text.size()) {
            const std::size_t bytes = character_bytes(text, at);
            result += text.substr(at, bytes);
            at += bytes;
        }
    }
    return made(call, result += text.substr(at));
}

// ---- cutting ----

Value split(const Call& call) {
    const std::string_view text = call.self.as_text();
    const std::int64_t most = call.integer(1, -1);
    const Value result = call.runtime.list({});
    List& list = result.as_list();
    const auto add = [&](std::string_view part) { call.runtime.append(list, made(call, part)); };
    if (call.lacks(0)) {
        std::string_view rest = left_stripped(text);
        for (std::int64_t cuts = 0; !rest.empty() && (most < 0 || cuts < most); ++cuts) {
            std::size_t end = 0;
            while (end < rest.size() && !is_space(character(rest, end))) end += character_bytes(rest, end);
            add(rest.substr(0, end));
            rest = left_stripped(rest.substr(end));
        }
        if (!rest.empty()) add(rest);
        return result;
    }
    const std::string_view separator = call.text(0);
    if (separator.empty()) call.mistake("needs a separator that is not empty");
    std::size_t at = 0;
    for (std::int64_t cuts = 0; most < 0 || cuts < most; ++cuts) {
        const std::size_t found = text.find(separator, at);
        if (found == std::string_view::npos) break;
        add(text.substr(at, found - at));
        at = found + separator.size();
    }
    add(text.substr(at));
    return result;
}

Value split_from_right(const Call& call) {
    std::string_view text = call.self.as_text();
    const std::int64_t most = call.integer(1, -1);
    if (most < 0) return split(call);
    std::vector<std::string_view> parts;
    if (call.lacks(0)) {
        text = right_stripped(text);
        while (!text.empty() && static_cast<std::int64_t>(parts.size()) < most) {
            std::size_t begin = text.size();
            for (std::size_t i = text.size(); i > 0;) {
                --i;
                if (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
                if (is_space(character(text, i))) break;
                begin = i;
            }
            parts.push_back(text.substr(begin));
            text = right_stripped(text.substr(0, begin));
        }
        if (!text.empty()) parts.push_back(text);
    } else {
        const std::string_view separator = call.text(0);
        if (separator.empty()) call.mistake("needs a separator that is not empty");
        while (static_cast<std::int64_t>(parts.size()) < most) {
            const std::size_t found = text.rfind(separator);
            if (found == std::string_view::npos) break;
            parts.push_back(text.substr(found + separator.size()));
            text = text.substr(0, found);
        }
        parts.push_back(text);
    }
    const Value result = call.runtime.list({});
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) call.runtime.append(result.as_list(), made(call, *part));
    return result;
}

Value split_lines(const Call& call) {
    const std::string_view text = call.self.as_text();
    const bool keep = call.truth(0, false);
    const Value result = call.runtime.list({});
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const char32_t c = character(text, at);
        std::size_t bytes = character_bytes(text, at);
        const bool ends = (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n') bytes = 2;
        at += bytes;
        if (!ends) continue;
        call.runtime.append(result.as_list(), made(call, text.substr(begin, at - begin - (keep ? 0 : bytes))));
        begin = at;
    }
    if (begin < text.size()) call.runtime.append(result.as_list(), made(call, text.substr(begin)));
    return result;
}

Value partition(const Call& call, bool from_right) {
    const std::string_view text = call.self.as_text(), separator = call.text(0);
    if (separator.empty()) call.mistake("needs a separator that is not empty");
    const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
    std::vector<std::string_view> parts{text, "", ""};
    if (at != std::string_view::npos) parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
    else if (from_right) parts = {"", "", text};
    return call.runtime.list({made(call, parts[0]), made(call, parts[1]), made(call, parts[2])}, List::Nature::tuple);
}

Value join(const Call& call) {
    std::string result;
    bool first = true;
    for (const Value& part : items(call.runtime, call[0])) {
        if (!part.is(Type::text)) call.mistake("needs texts, not '{}'", type_name(part));
        call.runtime.check_size(result.size() + call.self.as_text().size() + part.as_text().size());
        if (!first) result += call.self.as_text();
        result += part.as_text();
        first = false;
    }
    return made(call, std::move(result));
}

// ---- padding and kinds of characters ----

/// before / (before + after) of the missing characters stand on the left; Python puts the odd one of center on the left
/// only if the width is odd as well.
Value padded(const Call& call, char align) {
    const std::string_view text = call.self.as_text(), fill = call.text(1, " ");
    if (count_characters(fill) != 1) call.mistake("needs one character to fill with");
    const auto size = static_cast<std::int64_t>(count_characters(text));
    const std::int64_t width = std::max(call.integer(0, 0), size), missing = width - size;
    call.runtime.check_size(text.size() + static_cast<std::size_t>(missing) * fill.size());
    const std::int64_t before = align == '<' ? 0 : align == '>' ? missing : missing / 2 + (missing & width & 1);
    std::string result;
    for (std::int64_t i = 0; i < before; ++i) result += fill;
    result += text;
    for (std::int64_t i = before; i < missing; ++i) result += fill;
    return made(call, std::move(result));
}

Value zero_filled(const Call& call) {
    const std::string_view text = call.self.as_text();
    const std::int64_t missing = std::max<std::int64_t>(0, call.integer(0, 0) - static_cast<std::int64_t>(count_characters(text)));
    call.runtime.check_size(text.size() + static_cast<std::size_t>(missing));
    const std::size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+');
    return made(call, std::string(text.substr(0, sign)) + std::string(static_cast<std::size_t>(missing), '0') + std::string(text.substr(sign)));
}

template <class Test>
Value all_characters(const Call& call, const Test& test) {
    const std::string_view text = call.self.as_text();
    for (std::size_t at = 0; at < text.size(); at += character_bytes(text, at))
        if (!test(character(text, at))) return Value::boolean(false);
    return Value::boolean(!text.empty());
}

Value same_case(const Call& call, bool upper_case) {
    const std::string_view text = call.self.as_text();
    return Value::boolean(upper(text) != lower(text) && text == (upper_case ? upper(text) : lower(text)));
}

Value without_end(const Call& call, bool front) {
    const std::string_view text = call.self.as_text(), part = call.text(0);
    const bool fits = part.size() <= text.size() && (front ? text.substr(0, part.size()) : text.substr(text.size() - part.size())) == part;
    if (!fits) return call.self;
    return made(call, front ? text.substr(part.size()) : text.substr(0, text.size() - part.size()));
}

constexpr Builtin table[] = {
    {"strip", "chars", [](const Call& c) { return strip(c, true, true); }},
    {"lstrip", "chars", [](const Call& c) { return strip(c, true, false); }},
    {"rstrip", "chars", [](const Call& c) { return strip(c, false, true); }},
    {"split", "sep maxsplit", split},
    {"rsplit", "sep maxsplit", split_from_right},
    {"splitlines", "keepends", split_lines},
    {"partition", "sep", [](const Call& c) { return partition(c, false); }},
    {"rpartition", "sep", [](const Call& c) { return partition(c, true); }},
    {"join", "iterable", join},
    {"startswith", "prefix start end", [](const Call& c) { return at_end(c, true); }},
    {"endswith", "suffix start end", [](const Call& c) { return at_end(c, false); }},
    {"removeprefix", "prefix", [](const Call& c) { return without_end(c, true); }},
    {"removesuffix", "suffix", [](const Call& c) { return without_end(c, false); }},
    {"find", "sub start end", [](const Call& c) { return position(c, false, false); }},
    {"rfind", "sub start end", [](const Call& c) { return position(c, true, false); }},
    {"index", "sub start end", [](const Call& c) { return position(c, false, true); }},
    {"rindex", "sub start end", [](const Call& c) { return position(c, true, true); }},
    {"count", "sub start end",
     [](const Call& c) {
         std::size_t offset = 0;
         return Value::integer(occurrences(between(c, 1, 2, offset), c.text(0)));
     }},
    {"replace", "old new count", replace},
    {"format", "*", [](const Call& c) { return made(c, brace_format(c, c.self.as_text())); }},
    {"upper", "", [](const Call& c) { return made(c, upper(c.self.as_text())); }},
    {"lower", "", [](const Call& c) { return made(c, lower(c.self.as_text())); }},
    {"casefold", "", [](const Call& c) { return made(c, lower(c.self.as_text())); }},
    {"title", "", [](const Call& c) { return made(c, titled(c.self.as_text())); }},
    {"capitalize", "", [](const Call& c) { return made(c, capitalized(c.self.as_text())); }},
    {"swapcase", "", [](const Call& c) { return made(c, swapped_case(c.self.as_text())); }},
    {"center", "width fillchar", [](const Call& c) { return padded(c, '^'); }},
    {"ljust", "width fillchar", [](const Call& c) { return padded(c, '<'); }},
    {"rjust", "width fillchar", [](const Call& c) { return padded(c, '>'); }},
    {"zfill", "width", zero_filled},
    {"isspace", "", [](const Call& c) { return all_characters(c, is_space); }},
    {"isdigit", "", [](const Call& c) { return all_characters(c, is_digit); }},
    {"isdecimal", "", [](const Call& c) { return all_characters(c, is_digit); }},
    {"isnumeric", "", [](const Call& c) { return all_characters(c, is_digit); }},
    {"isalpha", "", [](const Call& c) { return all_characters(c, is_letter); }},
    {"isalnum", "", [](const Call& c) { return all_characters(c, [](char32_t x) { return is_letter(x) || is_digit(x); }); }},
    {"isupper", "", [](const Call& c) { return same_case(c, true); }},
    {"islower", "", [](const Call& c) { return same_case(c, false); }},
};

}  // namespace

std::span<const Builtin> text_methods() { return table; }

}  // namespace tailor::text::templates
