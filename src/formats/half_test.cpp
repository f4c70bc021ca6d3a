// All 65,536 values of f16 and bf16, and the rounding of binary32 to them.
#include "formats/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace tailor::formats {
namespace {

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

/// The value of an f16 by its definition.
double defined_value(std::uint16_t half) {
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, every_f16_widens_to_its_definition) {
    for (std::uint32_t half = 0; half < 0x10000; ++half) {
        const float value = f16_to_f32(static_cast<std::uint16_t>(half));
        if ((half & 0x7C00) != 0x7C00) {
            ASSERT_EQ(value, defined_value(static_cast<std::uint16_t>(half))) << half;
            ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << half;
        } else if (half & 0x3FF) {
            ASSERT_TRUE(std::isnan(value)) << half;
        } else {
            ASSERT_EQ(value, half & 0x8000 ? -INFINITY : INFINITY);
        }
    }
}

TEST(Half, every_f16_comes_back) {
    for (std::uint32_t half = 0; half < 0x10000; ++half) {
        const std::uint16_t back = f32_to_f16(f16_to_f32(static_cast<std::uint16_t>(half)));
        const bool nan = (half & 0x7FFF) > 0x7C00;
        ASSERT_EQ(back, nan ? half | 0x200 : half);
    }
}

TEST(Half, every_bf16_comes_back) {
    for (std::uint32_t half = 0; half < 0x10000; ++half) {
        const float value = bf16_to_f32(static_cast<std::uint16_t>(half));
        ASSERT_EQ(bits(value), half << 16);
        const bool nan = (half & 0x7FFF) > 0x7F80;
        ASSERT_EQ(f32_to_bf16(value), nan ? half | 0x40 : half);
    }
}

TEST(Half, f16_rounds_to_nearest_even) {
    for (std::uint32_t half = 0; half < 0x7BFF; ++half) {
        const float low = f16_to_f32(static_cast<std::uint16_t>(half)), high = f16_to_f32(static_cast<std::uint16_t>(half + 1));
        const float middle = static_cast<float>((double{low} + high) / 2);  // exact: one bit more than an f16
        ASSERT_EQ(f32_to_f16(middle), half + (half & 1)) << half;
        ASSERT_EQ(f32_to_f16(std::nextafter(middle, low)), half) << half;
        ASSERT_EQ(f32_to_f16(std::nextafter(middle, high)), half + 1) << half;
        ASSERT_EQ(f32_to_f16(-middle), (half + (half & 1)) | 0x8000) << half;
    }
}

TEST(Half, bf16_rounds_to_nearest_even) {
    for (std::uint32_t half = 0; half < 0x7F7F; ++half) {
        const float middle = std::bit_cast<float>(half << 16 | 0x8000u);
        ASSERT_EQ(f32_to_bf16(middle), half + (half & 1)) << half;
        ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(half << 16 | 0x7FFFu)), half) << half;
        ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(half << 16 | 0x8001u)), half + 1) << half;
    }
}

TEST(Half, ends_of_the_range) {
    EXPECT_EQ(f32_to_f16(65504.0f), 0x7BFF);
    EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
    EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
    EXPECT_EQ(f32_to_f16(INFINITY), 0x7C00);
    EXPECT_EQ(f32_to_f16(-1e30f), 0xFC00);
    EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
    EXPECT_EQ(f32_to_f16(std::nextafter(0x1p-25f, 1.0f)), 0x0001);
    EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
    EXPECT_EQ(f32_to_f16(1e-45f), 0x0000);
    EXPECT_EQ(f32_to_finite_f16(1e30f), 0x7BFF);
    EXPECT_EQ(f32_to_finite_f16(-INFINITY), 0xFBFF);
    EXPECT_GT(f32_to_f16(NAN) & 0x7FFF, 0x7C00);
    EXPECT_GT(f32_to_bf16(NAN) & 0x7FFF, 0x7F80);
    // A NaN whose fraction lies only in the bits that are cut off must not become infinity.
    EXPECT_GT(f32_to_bf16(std::bit_cast<float>(0x7F800001u)) & 0x7FFF, 0x7F80);
    EXPECT_GT(f32_to_f16(std::bit_cast<float>(0xFF800001u)) & 0x7FFF, 0x7C00);
    EXPECT_EQ(f32_to_bf16(INFINITY), 0x7F80);
}

}  // namespace
}  // namespace tailor::formats
