// The alphabet in which byte-level vocabularies write bytes as text (Radford et al. 2019).
//
// Vocabularies are stored as text, therefore each byte goes by a printable character: the 188 printable ones of Latin-1 by
// themselves, the others by U+0100, U+0101 and so on up to U+0143; a space is "Ġ".
#pragma once
#include <string>
#include <string_view>

namespace tailor::text {

/// The character by which a byte goes.
char32_t byte_character(unsigned char byte);
/// The byte that goes by this character, or -1.
int character_byte(char32_t character);
/// `bytes` in this alphabet.
std::string spelled_bytes(std::string_view bytes);

}  // namespace tailor::text
