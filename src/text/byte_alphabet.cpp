// The table and back; see byte_alphabet.h.
#include "text/byte_alphabet.h"

#include <array>

#include "text/unicode.h"

namespace tailor::text {

struct ByteAlphabet {
    std::array<char32_t, 256> character{};
    std::array<int, 0x144> byte{};
    ByteAlphabet() {
        byte.fill(-1);
        char32_t next = 0x100;
        for (unsigned b = 0; b < 256; ++b) {
            const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
            character[b] = printable ? b : next++;
            byte[character[b]] = static_cast<int>(b);
        }
    }
};

static const ByteAlphabet& alphabet() {
    static const ByteAlphabet instance;
    return instance;
}

char32_t byte_character(unsigned char byte) { return alphabet().character[byte]; }

int character_byte(char32_t character) { return character < alphabet().byte.size() ? alphabet().byte[character] : -1; }

std::string spelled_bytes(std::string_view bytes) {
    std::string result;
    result.reserve(bytes.size() + bytes.size() / 2);
    for (const char c : bytes) append_utf8(result, byte_character(static_cast<unsigned char>(c)));
    return result;
}

}  // namespace tailor::text
