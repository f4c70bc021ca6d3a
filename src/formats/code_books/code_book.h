// Code books: patterns of four or eight numbers that one index of a file stands for, kept as 16-bit words of small levels and
// spread to bytes by the compiler, so that a decoder reads a pattern with one load.
//
// Signs stand apart from magnitudes. Where a file keeps seven of eight, the eighth makes the count of negative ones even.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace tailor::formats {

/// The magnitudes of iq2_xxs, iq2_xs and iq2_s; the fourth is not used.
inline constexpr std::int8_t iq2_levels[4] = {8, 25, 43, 43};
/// The magnitudes of iq3_xxs and iq3_s.
inline constexpr std::int8_t iq3_xxs_levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr std::int8_t iq3_s_levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
/// Eight times the ternary numbers of iq1_s and iq1_m; the fourth is not used.
inline constexpr std::int8_t iq1_levels[4] = {-8, 0, 8, 8};

/// Each pattern as bytes, the first value lowest: eight values of two bits with four levels, four of three bits with eight.
template <class Pattern, std::size_t count, std::size_t level_count>
constexpr std::array<Pattern, count> spread(const std::uint16_t (&words)[count], const std::int8_t (&levels)[level_count]) {
    constexpr int bits = level_count == 4 ? 2 : 3;
    std::array<Pattern, count> patterns{};
    for (std::size_t k = 0; k < count; ++k)
        for (std::size_t i = 0; i < sizeof(Pattern); ++i) {
            const auto level = static_cast<std::uint8_t>(levels[words[k] >> bits * i & (level_count - 1)]);
            patterns[k] |= static_cast<Pattern>(level) << 8 * i;
        }
    return patterns;
}

/// Four bytes of seven sign bits each with the eighth added.
[[gnu::always_inline]] constexpr std::uint32_t with_eighth_signs(std::uint32_t bytes) {
    std::uint32_t parity = bytes ^ (bytes >> 4 & 0x0F0F0F0Fu);
    parity ^= parity >> 2 & 0x3F3F3F3Fu;
    parity ^= parity >> 1 & 0x7F7F7F7Fu;
    return bytes | (parity & 0x01010101u) << 7;
}

/// Four fields of seven bits, the lowest first, as four bytes.
[[gnu::always_inline]] constexpr std::uint32_t sevens_to_bytes(std::uint32_t fields) {
    return (fields & 0x7Fu) | (fields & 0x3F80u) << 1 | (fields & 0x1FC000u) << 2 | (fields & 0xFE00000u) << 3;
}

/// The inverse, of the seven lower bits of each byte.
constexpr std::uint32_t bytes_to_sevens(std::uint32_t bytes) {
    return (bytes & 0x7Fu) | (bytes >> 1 & 0x3F80u) | (bytes >> 2 & 0x1FC000u) | (bytes >> 3 & 0xFE00000u);
}

}  // namespace tailor::formats
