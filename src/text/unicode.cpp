// The only file that includes utf8proc; see unicode.h.
#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>

namespace tailor::text {

CodePoint code_point(std::string_view text, std::size_t at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) return {byte, 1};
    utf8proc_int32_t value = 0;
    const std::size_t available = text.size() - at < 4 ? text.size() - at : 4;
    const utf8proc_ssize_t bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                                    static_cast<utf8proc_ssize_t>(available), &value);
    if (bytes <= 0) return {};
    return {static_cast<char32_t>(value), static_cast<std::size_t>(bytes)};
}

void append_utf8(std::string& text, char32_t value) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(value), bytes);
    text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

std::size_t valid_length(std::string_view text, std::size_t at) {
    std::size_t end = at;
    while (end < text.size()) {
        const std::size_t bytes = code_point(text, end).bytes;
        if (bytes == 0) break;
        end += bytes;
    }
    return end - at;
}

std::size_t invalid_length(std::string_view text, std::size_t at, bool& incomplete) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(at);
    incomplete = false;
    if (lead < 0xC2 || lead > 0xF4) return 1;
    const std::size_t wanted = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // The second byte has a narrower range after four lead bytes: this excludes overlong forms, surrogates and U+110000.
    const unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    std::size_t length = 1;
    while (length < wanted && at + length < text.size()) {
        const unsigned next = byte(at + length);
        if (next < (length == 1 ? lowest : 0x80) || next > (length == 1 ? highest : 0xBF)) return length;
        ++length;
    }
    incomplete = length < wanted;
    return length;
}

std::string with_replacements(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t valid = valid_length(text, at);
        result += text.substr(at, valid);
        at += valid;
        if (at == text.size()) break;
        bool incomplete = false;
        at += invalid_length(text, at, incomplete);
        append_utf8(result, 0xFFFD);
    }
    return result;
}

std::string normalized(std::string_view text, NormalForm form) {
    int options = UTF8PROC_STABLE;
    options |= form == NormalForm::nfc || form == NormalForm::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
    utf8proc_uint8_t* bytes = nullptr;
    const utf8proc_ssize_t size =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &bytes,
                     static_cast<utf8proc_option_t>(options));
    const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(bytes, &std::free);
    if (size < 0) throw std::bad_alloc();  // its one other failure is text that is not valid
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

void append_lower(std::string& text, char32_t value) {
    append_utf8(text, value == 0x130 ? U'i' : static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value))));
    if (value == 0x130) append_utf8(text, 0x307);
}

std::size_t grapheme_length(std::string_view text, std::size_t at) {
    CodePoint before = code_point(text, at);
    std::size_t end = at + (before.bytes ? before.bytes : 1);
    utf8proc_int32_t state = 0;
    while (end < text.size()) {
        const CodePoint next = code_point(text, end);
        if (next.bytes == 0 || utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before.value),
                                                                static_cast<utf8proc_int32_t>(next.value), &state))
            break;
        end += next.bytes;
        before = next;
    }
    return end - at;
}

static utf8proc_category_t category(char32_t value) { return utf8proc_category(static_cast<utf8proc_int32_t>(value)); }
static bool between(char32_t value, char32_t first, char32_t last) { return value >= first && value <= last; }
static bool category_between(char32_t value, utf8proc_category_t first, utf8proc_category_t last) {
    const utf8proc_category_t c = category(value);
    return c >= first && c <= last;
}

bool is_white_space(char32_t value) {
    return between(value, 9, 13) || value == 0x85 || category_between(value, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP);
}
bool is_punctuation(char32_t value) {
    if (value < 0x80) return between(value, 0x21, 0x2F) || between(value, 0x3A, 0x40) || between(value, 0x5B, 0x60) || between(value, 0x7B, 0x7E);
    return category_between(value, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}
bool is_number(char32_t value) { return category_between(value, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO); }
bool is_mark(char32_t value) { return category_between(value, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME); }
bool is_nonspacing_mark(char32_t value) { return category(value) == UTF8PROC_CATEGORY_MN; }
bool is_control(char32_t value) { return category_between(value, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO); }
bool is_word_character(char32_t value) {
    // From LU to NL the categories are letters, marks, decimal digits and numerals in the shape of letters.
    if (category_between(value, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) || category(value) == UTF8PROC_CATEGORY_PC) return true;
    // Joiners; letters in circles and squares, which are symbols by category but alphabetic.
    return value == 0x200C || value == 0x200D || between(value, 0x24B6, 0x24E9) || between(value, 0x1F130, 0x1F149) ||
           between(value, 0x1F150, 0x1F169) || between(value, 0x1F170, 0x1F189);
}
bool is_han(char32_t value) {
    return between(value, 0x4E00, 0x9FFF) || between(value, 0x3400, 0x4DBF) || between(value, 0x20000, 0x2A6DF) ||
           between(value, 0x2A700, 0x2B73F) || between(value, 0x2B740, 0x2B81F) || between(value, 0x2B820, 0x2CEAF) ||
           between(value, 0xF900, 0xFAFF) || between(value, 0x2F800, 0x2FA1F);
}

static utf8proc_int32_t number(char32_t c) { return static_cast<utf8proc_int32_t>(c); }

char32_t to_upper(char32_t c) { return static_cast<char32_t>(utf8proc_toupper(number(c))); }
char32_t to_lower(char32_t c) { return static_cast<char32_t>(utf8proc_tolower(number(c))); }
char32_t to_title(char32_t c) { return static_cast<char32_t>(utf8proc_totitle(number(c))); }
std::string_view general_category(char32_t c) { return utf8proc_category_string(number(c)); }

}  // namespace tailor::text
