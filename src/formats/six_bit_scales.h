// The 12 bytes in which q4_k and q5_k keep eight 6-bit scales and eight 6-bit minima.
//
// The first four scales are the low six bits of bytes 0..3, the first four minima those of bytes 4..7. The last four have
// their low nibbles in bytes 8..11 (scales low, minima high) and their upper two bits in the top of bytes 0..3 and 4..7.
#pragma once
#include "formats/unpack.h"

namespace tailor::formats {

/// numbers[0..8) are the scales, numbers[8..16) the minima. Works on the 12 bytes as three words: four fields at a time.
[[gnu::always_inline]] inline void unpack_six_bit(const std::uint8_t* packed, std::uint8_t* numbers) {
    const std::uint32_t a = load_u32(packed), b = load_u32(packed + 4), c = load_u32(packed + 8);
    store_u32(numbers, a & 0x3F3F3F3Fu);
    store_u32(numbers + 4, (c & 0x0F0F0F0Fu) | (a >> 2 & 0x30303030u));
    store_u32(numbers + 8, b & 0x3F3F3F3Fu);
    store_u32(numbers + 12, (c >> 4 & 0x0F0F0F0Fu) | (b >> 2 & 0x30303030u));
}

/// The same to two places.
inline void split_six_bit(const std::uint8_t* packed, std::uint8_t* scales, std::uint8_t* minima) {
    std::uint8_t numbers[16];
    unpack_six_bit(packed, numbers);
    std::memcpy(scales, numbers, 8);
    std::memcpy(minima, numbers + 8, 8);
}

/// The inverse of unpack_six_bit.
inline void pack_six_bit(const std::uint8_t* scales, const std::uint8_t* minima, std::uint8_t* packed) {
    for (int j = 0; j < 4; ++j) {
        packed[j] = static_cast<std::uint8_t>(scales[j] | scales[4 + j] >> 4 << 6);
        packed[4 + j] = static_cast<std::uint8_t>(minima[j] | minima[4 + j] >> 4 << 6);
        packed[8 + j] = static_cast<std::uint8_t>((scales[4 + j] & 15) | (minima[4 + j] & 15) << 4);
    }
}

/// Per sub-block scale d * s and offset -(dmin * m) from the 16 bytes d, dmin, scales that open a super-block.
[[gnu::always_inline]] inline void sub_block_lines(const std::byte* block, float* __restrict scale, float* __restrict offset) {
    std::uint8_t numbers[16];
    unpack_six_bit(bytes_of(block + 4), numbers);
    const float d = load_f16(block), dmin = load_f16(block + 2);
    for (int j = 0; j < 8; ++j) {
        scale[j] = d * static_cast<float>(numbers[j]);
        offset[j] = -(dmin * static_cast<float>(numbers[8 + j]));
    }
}

}  // namespace tailor::formats
