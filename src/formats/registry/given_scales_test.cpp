// Rounding to given scales: codes come back as they went in, encoders' own scales give codes no worse than rounding promises, and every level agrees.
#include "formats/given_scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "formats/registry.h"

namespace tailor::formats {
namespace {

std::vector<const Format*> kept() {
    std::vector<const Format*> list;
    for (const Format* format : all())
        if (keeps_scales(*format)) list.push_back(format);
    return list;
}

std::vector<float> normal_row(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> row(count);
    for (float& v : row) v = normal(random);
    return row;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i) total += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    return total;
}

class GivenScales : public testing::TestWithParam<const Format*> {
  protected:
    const Format& format = *GetParam();
    const std::size_t count = 1024;

    std::vector<std::byte> encoded(const std::vector<float>& row) const {
        std::vector<std::byte> blocks(static_cast<std::size_t>(format.row_bytes(static_cast<std::int64_t>(row.size()))));
        format.encode(row.data(), nullptr, blocks.data(), static_cast<std::int64_t>(row.size()));
        return blocks;
    }
    std::vector<float> decoded(const std::vector<std::byte>& blocks) const {
        std::vector<float> row(count);
        format.decode.functions[0](blocks.data(), row.data(), static_cast<std::int64_t>(count));
        return row;
    }
};

TEST_P(GivenScales, CodesThatAreWrittenAreRead) {
    const std::vector<std::byte> before = encoded(normal_row(count, 1)), other = encoded(normal_row(count, 2));
    std::vector<std::byte> changed = before;
    BlockIntegers there, back, scales;
    format.integers->split(other.data(), there);
    format.integers->split(before.data(), scales);
    format.integers->join(there.codes, changed.data());
    format.integers->split(changed.data(), back);
    EXPECT_EQ(0, std::memcmp(there.codes, back.codes, static_cast<std::size_t>(format.values_per_block)));
    EXPECT_EQ(back.scale, scales.scale);
    format.integers->join(scales.codes, changed.data());
    EXPECT_EQ(changed, before);
}

TEST_P(GivenScales, TheEncodersScalesGiveItsError) {
    const std::vector<float> row = normal_row(count, 3);
    const std::vector<std::byte> best = encoded(row);
    std::vector<std::byte> rounded = best;
    round_to_scales.at(cpu::available_isas().back())(format, row.data(), rounded.data(), static_cast<std::int64_t>(count));
    EXPECT_LE(squared_error(row, decoded(rounded)), squared_error(row, decoded(best)) * 1.0001) << "the nearest codes are the best ones for these scales";
    const std::vector<float> moved = normal_row(count, 4);
    std::vector<std::byte> first = best;
    round_to_scales.at(cpu::Isa::base)(format, moved.data(), first.data(), static_cast<std::int64_t>(count));
    for (const cpu::Isa isa : cpu::available_isas()) {
        std::vector<std::byte> blocks = best;
        round_to_scales.at(isa)(format, moved.data(), blocks.data(), static_cast<std::int64_t>(count));
        EXPECT_EQ(blocks, first) << cpu::name(isa);
    }
    // Codes are nearest: no value is farther from its own than half a step of its group, unless it lies beyond the ends.
    std::vector<float> inside(count);
    mark_reached(format, moved.data(), first.data(), 0, inside.data(), static_cast<std::int64_t>(count));
    const std::vector<float> given = decoded(first);
    for (std::size_t i = 0; i < count; ++i) {
        BlockLines lines;
        const auto block = static_cast<std::int64_t>(i) / format.values_per_block, at = static_cast<std::int64_t>(i) % format.values_per_block;
        block_lines(format, first.data() + block * format.bytes_per_block, lines);
        // Tables are nowhere coarser than 24 units.
        const float step = std::fabs(lines.scale[at / format.integers->group]) * (format.integers->table ? 24.0f : 1.0f);
        if (inside[i] > 0) {
            EXPECT_LE(std::fabs(given[i] - moved[i]), 0.5001f * step + 1e-6f) << i;
        }
    }
}

TEST_P(GivenScales, ScalesByRuleAndByFactor) {
    const std::vector<float> row = normal_row(count, 5);
    std::vector<std::byte> blocks = encoded(row);
    if (learns_scales(format)) {
        const std::vector<float> once = decoded(blocks);
        for (std::size_t b = 0; b < blocks.size(); b += static_cast<std::size_t>(format.bytes_per_block)) multiply_scales(format, blocks.data() + b, 2);
        const std::vector<float> twice = decoded(blocks);
        for (std::size_t i = 0; i < count; ++i) ASSERT_FLOAT_EQ(twice[i], 2 * once[i]);
    }
    if (!set_plain_scale(format, row.data(), blocks.data())) return;
    BlockLines lines;
    block_lines(format, blocks.data(), lines);
    if (format.integers->levels == 3) EXPECT_NEAR(lines.scale[0], 0.798f, 0.15f) << "the mean magnitude of normal numbers";
    else {
        std::vector<float> inside(static_cast<std::size_t>(format.values_per_block));
        mark_reached(format, row.data(), blocks.data(), 0.5, inside.data(), format.values_per_block);
        EXPECT_EQ(*std::min_element(inside.begin(), inside.end()), 1.0f) << "the largest value is reached";
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, GivenScales, testing::ValuesIn(kept()), [](const auto& info) { return std::string(info.param->name); });

TEST(GivenScales, AreKeptByTheUsualFormats) {
    for (const char* name : {"q4_0", "q8_0", "q2_k", "q4_k", "q6_k", "tq1_0", "tq2_0", "mxfp4"}) EXPECT_TRUE(keeps_scales(get(name))) << name;
    EXPECT_FALSE(keeps_scales(get("iq2_xs")));
    EXPECT_FALSE(learns_scales(get("mxfp4"))) << "its scales are powers of two";
}

}  // namespace
}  // namespace tailor::formats
