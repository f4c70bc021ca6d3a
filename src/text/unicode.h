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

/// Length of the ill-formed stretch at text[at], where valid_length is 0 and at < text.size().
/// If it reaches the end of the text, more bytes might complete it exactly when `incomplete` comes back true.
std::size_t invalid_length(std::string_view text, std::size_t at, bool& incomplete);

}  // namespace tailor::text
