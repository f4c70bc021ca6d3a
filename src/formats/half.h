// Sixteen-bit floating point: IEEE binary16 (f16) and bfloat16 (bf16), to and from binary32.
//
// f16 is 1 sign, 5 exponent (bias 15) and 10 fraction bits; bf16 is the upper half of a binary32. Widening is exact for
// every value, subnormals, infinities and NaNs included; narrowing rounds to nearest, ties to even, as IEEE 754 asks.
//
// Widening is bit manipulation rather than the F16C instruction for two reasons: it gives the same bits at every level
// (F16C quiets signalling NaNs), and it never meets a subnormal binary32, so it is right under flush-to-zero too. It has
// selects and no branches, so a loop over it becomes vector code.
#pragma once
#include <bit>
#include <cstdint>

namespace tailor::formats {

inline constexpr float f16_largest = 65504.0f;

/// Exact.
[[gnu::always_inline]] constexpr float f16_to_f32(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7FFFu;
    constexpr std::uint32_t rebias = (127u - 15u) << 23;
    const std::uint32_t special = magnitude >= 0x7C00u ? rebias : 0u;  // infinity and NaN move up to exponent 255
    const std::uint32_t normal = (magnitude << 13) + rebias + special;
    const auto tiny = std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
    return std::bit_cast<float>(sign | (magnitude < 0x400u ? tiny : normal));
}

/// Nearest f16, ties to even; beyond 65520 infinity; a NaN stays a NaN.
constexpr std::uint16_t f32_to_f16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= std::bit_cast<std::uint32_t>(65520.0f)) return static_cast<std::uint16_t>(sign | 0x7C00u);
    if (magnitude < std::bit_cast<std::uint32_t>(0x1p-14f)) {
        // Numbers next to 0.5 are 2^-24 apart, the step of subnormal halves: the addition does the rounding.
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5f)));
    }
    const std::uint32_t rebased = magnitude - ((127u - 15u) << 23);
    return static_cast<std::uint16_t>(sign | (rebased + 0xFFFu + (rebased >> 13 & 1u)) >> 13);
}

/// Nearest finite f16: what stores a scale, or a weight, with the least error whatever its size.
constexpr std::uint16_t f32_to_finite_f16(float value) {
    return f32_to_f16(value > f16_largest ? f16_largest : value < -f16_largest ? -f16_largest : value);
}

/// Exact.
[[gnu::always_inline]] constexpr float bf16_to_f32(std::uint16_t half) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

/// Nearest bf16, ties to even; beyond the largest finite one infinity; a NaN stays a NaN.
[[gnu::always_inline]] constexpr std::uint16_t f32_to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16, quiet = bits >> 16 | 0x40u;
    return static_cast<std::uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

}  // namespace tailor::formats
