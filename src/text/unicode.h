// UTF-8: reading it, writing it, and surviving text that is not quite UTF-8.
//
// "Valid" means well-formed in the sense of Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above
// U+10FFFF. An ill-formed stretch is measured as the longest beginning of a well-formed sequence (at least one byte),
// which is what the standard recommends to replace by one U+FFFD (section 3.9, "maximal subparts").
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace tailor::text {

struct CodePoint {
    char32_t value = 0;
    std::size_t bytes = 0;  ///< 0: the bytes here are not valid UTF-8
};

/// The code point that begins at text[at]; `at` must be inside the text.
CodePoint code_point(std::string_view text, std::size_t at);

/// Appends a code point as UTF-8. `value` must be a Unicode scalar value.
void append_utf8(std::string& text, char32_t value);

/// Number of bytes from `at` on that are valid UTF-8.
std::size_t valid_length(std::string_view text, std::size_t at = 0);

/// `text` with every ill-formed stretch replaced by one U+FFFD.
std::string with_replacements(std::string_view text);

/// Length of the ill-formed stretch at text[at], where valid_length is 0 and at < text.size().
/// If it reaches the end of the text, more bytes might complete it exactly when `incomplete` comes back true.
std::size_t invalid_length(std::string_view text, std::size_t at, bool& incomplete);

/// The simple case mappings of one code point; itself if it has none.
char32_t to_upper(char32_t c);
char32_t to_lower(char32_t c);
char32_t to_title(char32_t c);
/// The two letters of the general category: "Lu", "Zs"; "Cn" for what is not assigned.
std::string_view general_category(char32_t c);

/// The canonical and compatibility forms of Unicode Standard Annex 15.
enum class NormalForm { nfc, nfd, nfkc, nfkd };
/// `text`, valid UTF-8, in a normal form.
std::string normalized(std::string_view text, NormalForm form);

/// Appends the lower case of one character; U+0130 is the one whose lower case has two.
void append_lower(std::string& text, char32_t value);

/// Number of bytes of the extended grapheme cluster (Annex 29), what readers take for one character, at text[at] < text.size().
std::size_t grapheme_length(std::string_view text, std::size_t at);

bool is_white_space(char32_t value);      ///< property White_Space
bool is_punctuation(char32_t value);      ///< category P, or one of the signs of ASCII that look like it: $ + < = > ^ ` | ~
bool is_number(char32_t value);           ///< category N
bool is_mark(char32_t value);             ///< category M
bool is_nonspacing_mark(char32_t value);  ///< category Mn: most accents
bool is_control(char32_t value);          ///< categories Cc, Cf, Cs and Co
bool is_word_character(char32_t value);   ///< letters, marks, digits, connectors and joiners: \w of Annex 18
bool is_han(char32_t value);              ///< the ideographs that BERT takes for words of their own

}  // namespace tailor::text
