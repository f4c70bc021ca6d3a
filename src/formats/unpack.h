// Small fields of packed blocks: loads and stores without alignment, and joining codes into bytes.
//
// Decoders use the loads together with sixteen.h; encoders use the rest. The inverse operations stand in sixteen.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/simd.h"
#include "formats/half.h"

namespace tailor::formats {

[[gnu::always_inline]] inline std::uint16_t load_u16(const void* at) {
    std::uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
[[gnu::always_inline]] inline std::uint32_t load_u32(const void* at) {
    std::uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
[[gnu::always_inline]] inline void store_u16(void* at, std::uint16_t value) { std::memcpy(at, &value, sizeof value); }
[[gnu::always_inline]] inline void store_u32(void* at, std::uint32_t value) { std::memcpy(at, &value, sizeof value); }

/// The f16 stored at `at`.
[[gnu::always_inline]] inline float load_f16(const void* at) { return f16_to_f32(load_u16(at)); }

/// Blocks as unsigned bytes.
[[gnu::always_inline]] inline const std::uint8_t* bytes_of(const std::byte* blocks) {
    return reinterpret_cast<const std::uint8_t*>(blocks);
}
[[gnu::always_inline]] inline std::uint8_t* bytes_of(std::byte* blocks) { return reinterpret_cast<std::uint8_t*>(blocks); }

/// bytes[i] holds codes[i] in its low nibble and codes[n + i] in its high one; codes are below 16.
template <int n>
inline void join_nibbles(const std::uint8_t* codes, std::uint8_t* bytes) {
    for (int i = 0; i < n; ++i) bytes[i] = static_cast<std::uint8_t>(codes[i] | codes[n + i] << 4);
}

/// Moves the fifth bits of 32 codes to the 32 bits at `word`, bit i from value i.
inline void take_fifth_bits(std::uint8_t* codes, std::uint8_t* word) {
    std::uint32_t bits = 0;
    for (int i = 0; i < 32; ++i) {
        bits |= static_cast<std::uint32_t>(codes[i] >> 4) << i;
        codes[i] &= 15;
    }
    store_u32(word, bits);
}

/// The inverse of take_fifth_bits: sets the fifth bits of 32 codes below 16.
inline void add_fifth_bits(std::uint32_t bits, std::uint8_t* codes) {
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<std::uint8_t>(codes[i] | (bits >> i & 1) << 4);
}

}  // namespace tailor::formats
