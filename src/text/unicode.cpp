// The only file that includes utf8proc; see unicode.h.
#include "text/unicode.h"

#include <utf8proc.h>

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

}  // namespace tailor::text
