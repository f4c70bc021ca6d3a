// Text as a sequence of characters (code points), as Python counts it, over UTF-8 bytes.
//
// Positions, slices, widths and case belong to characters, not to bytes. Templates are mostly ASCII, where both are the
// same, and their texts are short: positions are found by walking. A byte that is not valid UTF-8 counts as one character.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::text::templates {

/// Bytes of the character that begins at text[at]; at least 1.
std::size_t character_bytes(std::string_view text, std::size_t at);
/// Its code point; U+FFFD for an invalid byte.
char32_t character(std::string_view text, std::size_t at);
std::size_t count_characters(std::string_view text);
/// Byte offsets of all characters, and the length of the text at the end.
std::vector<std::size_t> character_offsets(std::string_view text);

/// White space as str.strip, str.split and \s see it.
bool is_space(char32_t c);
/// Letters of any script; decimal digits of any script.
bool is_letter(char32_t c);
bool is_digit(char32_t c);
/// Whether repr shows the character as it is.
bool is_printable(char32_t c);

/// Without the white space at the ends.
std::string_view left_stripped(std::string_view text);
std::string_view right_stripped(std::string_view text);
/// Without characters of `set` at the ends.
std::string_view left_stripped(std::string_view text, std::string_view set);
std::string_view right_stripped(std::string_view text, std::string_view set);

/// Case by Unicode's simple mappings, but "ß" and the Latin ligatures become two or three letters as in Python. Rules
/// that depend on neighbours (the final sigma) are left out.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// First character upper case, the others lower case.
std::string capitalized(std::string_view text);
/// str.title: every letter that follows no letter in title case, the others in lower case.
std::string titled(std::string_view text);
std::string swapped_case(std::string_view text);

}  // namespace tailor::text::templates
