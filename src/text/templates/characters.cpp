// Walking characters; see characters.h.
#include "text/templates/characters.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "text/unicode.h"

namespace tailor::text::templates {

std::size_t character_bytes(std::string_view text, std::size_t at) {
    const std::size_t bytes = code_point(text, at).bytes;
    return bytes ? bytes : 1;
}

char32_t character(std::string_view text, std::size_t at) {
    const CodePoint point = code_point(text, at);
    return point.bytes ? point.value : U'\uFFFD';
}

std::size_t count_characters(std::string_view text) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < text.size(); at += character_bytes(text, at)) ++count;
    return count;
}

std::vector<std::size_t> character_offsets(std::string_view text) {
    std::vector<std::size_t> offsets;
    offsets.reserve(text.size() + 1);
    for (std::size_t at = 0; at < text.size(); at += character_bytes(text, at)) offsets.push_back(at);
    offsets.push_back(text.size());
    return offsets;
}

bool is_space(char32_t c) {
    if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || general_category(c)[0] == 'Z';
}

bool is_letter(char32_t c) { return general_category(c)[0] == 'L'; }
bool is_digit(char32_t c) { return general_category(c) == "Nd"; }

bool is_printable(char32_t c) {
    if (c < 0x80) return c >= ' ' && c < 0x7F;
    const char major = general_category(c)[0];
    return major != 'C' && major != 'Z';
}

std::string_view left_stripped(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size() && is_space(character(text, at))) at += character_bytes(text, at);
    return text.substr(at);
}

/// Start of the last character.
static std::size_t last_character(std::string_view text) {
    for (std::size_t bytes = 2; bytes <= 4 && bytes <= text.size(); ++bytes)
        if (code_point(text, text.size() - bytes).bytes == bytes) return text.size() - bytes;
    return text.size() - 1;
}

std::string_view right_stripped(std::string_view text) {
    while (!text.empty() && is_space(character(text, last_character(text)))) text = text.substr(0, last_character(text));
    return text;
}

static bool in_set(std::string_view one, std::string_view set) {
    for (std::size_t at = 0, bytes = 0; at < set.size(); at += bytes) {
        bytes = character_bytes(set, at);
        if (set.substr(at, bytes) == one) return true;
    }
    return false;
}

std::string_view left_stripped(std::string_view text, std::string_view set) {
    while (!text.empty() && in_set(text.substr(0, character_bytes(text, 0)), set)) text = text.substr(character_bytes(text, 0));
    return text;
}

std::string_view right_stripped(std::string_view text, std::string_view set) {
    while (!text.empty() && in_set(text.substr(last_character(text)), set)) text = text.substr(0, last_character(text));
    return text;
}

/// Letters whose upper case is several letters: a common few of Unicode's SpecialCasing.
struct Wide {
    char32_t letter;
    std::string_view upper, title;
};
static constexpr Wide wide_letters[] = {{0xDF, "SS", "Ss"},   {0xFB00, "FF", "Ff"},   {0xFB01, "FI", "Fi"},
                                        {0xFB02, "FL", "Fl"}, {0xFB03, "FFI", "Ffi"}, {0xFB04, "FFL", "Ffl"}};

enum class Case { upper, title, lower };

static void append_cased(std::string& result, char32_t c, Case wanted) {
    if (wanted == Case::lower) return append_utf8(result, to_lower(c));
    for (const Wide& wide : wide_letters)
        if (wide.letter == c) {
            result += wanted == Case::upper ? wide.upper : wide.title;
            return;
        }
    append_utf8(result, wanted == Case::upper ? to_upper(c) : to_title(c));
}

/// Each character in the case that choose(c) says; invalid bytes stay.
template <class Choose>
static std::string changed(std::string_view text, const Choose& choose) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = code_point(text, at);
        if (point.bytes) append_cased(result, point.value, choose(point.value));
        else result += text[at];
        at += point.bytes ? point.bytes : 1;
    }
    return result;
}

std::string upper(std::string_view text) {
    return changed(text, [](char32_t) { return Case::upper; });
}
std::string lower(std::string_view text) {
    return changed(text, [](char32_t) { return Case::lower; });
}

std::string capitalized(std::string_view text) {
    bool first = true;
    return changed(text, [&](char32_t) { return std::exchange(first, false) ? Case::title : Case::lower; });
}

static bool has_case(char32_t c) {
    const bool is_wide = std::any_of(std::begin(wide_letters), std::end(wide_letters), [&](const Wide& wide) { return wide.letter == c; });
    return is_wide || to_upper(c) != c || to_lower(c) != c;
}

std::string titled(std::string_view text) {
    bool inside = false;
    return changed(text, [&](char32_t c) { return std::exchange(inside, has_case(c)) ? Case::lower : Case::title; });
}

std::string swapped_case(std::string_view text) {
    return changed(text, [](char32_t c) { return to_lower(c) != c ? Case::lower : Case::upper; });
}

}  // namespace tailor::text::templates
