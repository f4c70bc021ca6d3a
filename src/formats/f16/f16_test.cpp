// Encoding f16 gives the bits of the conversion in plain integers, whatever instructions did it.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>

#include "formats/half.h"
#include "formats/registry.h"

namespace tailor::formats {
namespace {

TEST(F16, EncodesTheBitsOfTheScalarConversion) {
    std::mt19937 random(7);
    std::vector<float> values;
    for (int i = 0; i < 4000; ++i) values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));  // any bits: not-a-numbers and subnormals among them
    std::uniform_int_distribution<std::uint32_t> half_range(0x33000000, 0x47900000);                             // 2^-25 to 73,728
    for (int i = 0; i < 4000; ++i) values.push_back(std::bit_cast<float>(half_range(random) | (i % 2 ? 0x80000000u : 0u)));
    for (const float edge : {0.0f, -0.0f, 65504.0f, 65519.9f, 65520.0f, -70000.0f, 0x1p-14f, 0x1p-24f, 0x1p-25f, 0x1.8p-25f, 1.0f / 0.0f, -1.0f / 0.0f}) values.push_back(edge);
    std::vector<std::uint16_t> halves(values.size());
    for (std::size_t first = 0, count = 1; first < values.size(); first += count, count = count % 37 + 1) {  // counts that no vector divides
        const std::size_t some = std::min(count, values.size() - first);
        get("f16").encode(&values[first], nullptr, reinterpret_cast<std::byte*>(&halves[first]), static_cast<std::int64_t>(some));
    }
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(f32_to_finite_f16(values[i]), halves[i]) << std::hexfloat << values[i];
}

}  // namespace
}  // namespace tailor::formats
