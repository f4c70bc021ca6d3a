// What format.h promises, held against every registered format that may hold weights. There is no list of formats here: a new
// one is tested by being added.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string>

#include "core/error.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "formats/test_rows.h"

namespace tailor::formats {
namespace {

using test::random_row, test::relative_error, test::Shape;

std::vector<const Format*> weight_formats() {
    std::vector<const Format*> formats;
    for (const Format* format : all())
        if (format->weights) formats.push_back(format);
    return formats;
}

std::vector<std::byte> encode(const Format& format, const std::vector<float>& row, const float* importance = nullptr) {
    std::vector<std::byte> blocks(static_cast<std::size_t>(format.row_bytes(static_cast<std::int64_t>(row.size()))));
    format.encode(row.data(), importance, blocks.data(), static_cast<std::int64_t>(row.size()));
    return blocks;
}

std::vector<float> decode(const Format& format, const std::vector<std::byte>& blocks, std::size_t count,
                          cpu::Isa level = cpu::Isa::base) {
    std::vector<float> row(count);
    format.decode.at(level)(blocks.data(), row.data(), static_cast<std::int64_t>(count));
    return row;
}

std::vector<float> there_and_back(const Format& format, const std::vector<float>& row, const float* importance = nullptr) {
    return decode(format, encode(format, row, importance), row.size());
}

class Conformance : public testing::TestWithParam<const Format*> {
  protected:
    const Format& format = *GetParam();
    std::size_t block = static_cast<std::size_t>(format.values_per_block);
};

TEST_P(Conformance, is_described) {
    EXPECT_FALSE(format.doc.empty());
    EXPECT_NE(format.doc.back(), '.');
    EXPECT_TRUE(std::all_of(format.name.begin(), format.name.end(),
                            [](char c) { return std::islower(c) || std::isdigit(c) || c == '_'; }));
    EXPECT_GE(format.values_per_block, 1);
    EXPECT_LE(format.values_per_block, 4096);
    EXPECT_GE(format.bytes_per_block, 1);
    EXPECT_GT(format.bits_per_value(), 0.5);
    EXPECT_LE(format.bits_per_value(), 32);
    EXPECT_TRUE(format.decode);
    EXPECT_NE(format.encode, nullptr);
    EXPECT_EQ(format.row_bytes(3 * format.values_per_block), 3 * format.bytes_per_block);
    EXPECT_EQ(format.holds(format.values_per_block + 1), format.values_per_block == 1);
}

TEST_P(Conformance, is_found) {
    EXPECT_EQ(find(format.name), &format);
    EXPECT_EQ(&get(format.name), &format);
    if (format.gguf_type < 0) return;
    EXPECT_EQ(find_gguf_type(format.gguf_type), &format);
}

TEST_P(Conformance, every_level_decodes_to_the_same_bits) {
    for (std::size_t blocks : {1, 2, 3, 7, 16}) {
        const std::size_t count = blocks * block;
        auto packed = encode(format, random_row(Shape::student, count, blocks));
        for (int kind = 0; kind < 2; ++kind) {
            const auto expected = decode(format, packed, count);
            for (const cpu::Isa level : cpu::available_isas()) {
                const auto decoded = decode(format, packed, count, level);
                for (std::size_t i = 0; i < count; ++i) {
                    if (std::isnan(expected[i]) && std::isnan(decoded[i])) continue;
                    ASSERT_EQ(std::memcmp(&expected[i], &decoded[i], 4), 0)
                        << cpu::name(level) << ", " << blocks << " blocks, value " << i << ": " << expected[i] << " and "
                        << decoded[i];
                }
            }
            // Then random bytes: every code and scale there is.
            test::Random random(blocks);
            for (std::byte& byte : packed) byte = static_cast<std::byte>(random.bits());
        }
    }
}

TEST_P(Conformance, touches_only_its_own_bytes) {
    constexpr std::size_t guard = 64;
    for (std::size_t blocks : {1, 2, 3, 7}) {
        const std::size_t count = blocks * block,
                          bytes = static_cast<std::size_t>(format.row_bytes(static_cast<std::int64_t>(count)));
        const auto row = random_row(Shape::gaussian, count, 5);
        std::vector<std::byte> packed(bytes + 2 * guard, std::byte{0xA5});
        format.encode(row.data(), nullptr, packed.data() + guard, static_cast<std::int64_t>(count));
        for (std::size_t i = 0; i < guard; ++i) {
            ASSERT_EQ(packed[i], std::byte{0xA5});
            ASSERT_EQ(packed[guard + bytes + i], std::byte{0xA5});
        }
        // An exact allocation, so that the address sanitizer sees a read beyond it.
        const std::vector<std::byte> tight(packed.begin() + guard, packed.end() - guard);
        for (const cpu::Isa level : cpu::available_isas()) {
            std::vector<float> values(count + 2 * guard, -7.0f);
            format.decode.at(level)(tight.data(), values.data() + guard, static_cast<std::int64_t>(count));
            for (std::size_t i = 0; i < guard; ++i) {
                ASSERT_EQ(values[i], -7.0f);
                ASSERT_EQ(values[guard + count + i], -7.0f);
            }
        }
    }
}

TEST_P(Conformance, writes_every_byte_and_the_same_ones_each_time) {
    const auto row = random_row(Shape::student, 4 * std::max<std::size_t>(block, 64), 6);
    auto first = encode(format, row), second = first;
    std::fill(second.begin(), second.end(), std::byte{0xFF});
    format.encode(row.data(), nullptr, second.data(), static_cast<std::int64_t>(row.size()));
    EXPECT_EQ(first, second);
}

TEST_P(Conformance, error_on_gaussian_rows_is_as_stated) {
    const auto row = random_row(Shape::gaussian, 1 << 16, 7);
    const auto decoded = there_and_back(format, row);
    if (format.facts.gaussian_relative_rmse == 0) {
        EXPECT_EQ(row, decoded);
    } else {
        EXPECT_NEAR(relative_error(row, decoded) / format.facts.gaussian_relative_rmse, 1, 0.03) << relative_error(row, decoded);
    }
}

TEST_P(Conformance, zeros_stay_zeros) {
    const std::vector<float> zeros(3 * block, 0.0f), negative(3 * block, -0.0f);
    for (const auto& row : {zeros, negative})
        for (float value : there_and_back(format, row)) ASSERT_EQ(value, 0.0f);
    EXPECT_EQ(encode(format, zeros), encode(format, zeros));
    for (float value : there_and_back(format, zeros)) ASSERT_FALSE(std::signbit(value));
}

TEST_P(Conformance, a_zero_block_beside_others_stays_zero) {
    if (block < 2) return;
    auto row = random_row(Shape::gaussian, 3 * block, 8);
    std::fill(row.begin() + static_cast<std::ptrdiff_t>(block), row.begin() + 2 * static_cast<std::ptrdiff_t>(block), 0.0f);
    const auto decoded = there_and_back(format, row);
    for (std::size_t i = block; i < 2 * block; ++i) ASSERT_EQ(decoded[i], 0.0f);
}

TEST_P(Conformance, constant_rows) {
    for (float constant : {0.7371f, -0.7371f, 12.5f, -300.0f}) {
        const std::vector<float> row(4 * block, constant);
        // A scale alone can meet a constant; a power of two as scale can miss it by half a step.
        EXPECT_LE(relative_error(row, there_and_back(format, row)), std::max(1e-3, 2 * format.facts.gaussian_relative_rmse))
            << constant;
    }
}

TEST_P(Conformance, rows_far_above_zero) {
    std::vector<float> row = random_row(Shape::gaussian, 4 * std::max<std::size_t>(block, 64), 9, 0.05f);
    for (float sign : {1.0f, -1.0f}) {
        std::vector<float> shifted = row;
        for (float& value : shifted) value = sign * (value + 1.0f);
        EXPECT_LE(relative_error(shifted, there_and_back(format, shifted)), std::max(2e-3, format.facts.gaussian_relative_rmse))
            << sign;
    }
}

TEST_P(Conformance, rows_of_any_size_stay_finite) {
    const std::size_t count = 2 * std::max<std::size_t>(block, 256);
    const auto least = static_cast<float>(format.facts.least_usual), most = static_cast<float>(format.facts.most_usual);
    for (float scale : {1e-38f, 1e-30f, 1e-12f, 1e-6f, 1e-3f, 1e4f, 1e9f, 1e30f, 3e37f, least, most}) {
        const auto row = random_row(Shape::gaussian, count, 10, scale), decoded = there_and_back(format, row);
        for (float value : decoded) ASSERT_TRUE(std::isfinite(value)) << scale;
        // Scales end at both sides; there all zeros would be as good.
        const bool usual = scale >= least && scale <= most;
        EXPECT_LE(relative_error(row, decoded), usual ? 1.1 * format.facts.gaussian_relative_rmse : 1 + 1e-6) << scale;
    }
    std::vector<float> ends(count, 0.0f);
    ends[3] = 3.4028234e38f, ends[5] = -3.4028234e38f, ends[7] = 1e-45f;
    for (float value : there_and_back(format, ends)) ASSERT_TRUE(std::isfinite(value));
}

TEST_P(Conformance, an_outlier_is_kept) {
    std::vector<float> spike(std::max<std::size_t>(block, 256), 0.0f);
    spike[77] = 1000;
    const auto around = there_and_back(format, spike);
    const bool holds_zeros = std::count(around.begin(), around.end(), 0.0f) + 1 == static_cast<std::ptrdiff_t>(around.size());
    for (float outlier : {1000.0f, -1000.0f}) {
        auto row = random_row(Shape::gaussian, 2 * std::max<std::size_t>(block, 256), 11);
        row[77] = outlier;
        const auto decoded = there_and_back(format, row);
        for (float value : decoded) ASSERT_TRUE(std::isfinite(value));
        // A scale that is a power of two can miss one value by a sixth (5 between 4 and 6). Without a zero the scale that suits the
        // outlier moves all others, so the least error clips it.
        EXPECT_NEAR(decoded[77] / outlier, 1, holds_zeros ? 0.17 : 1.0);
        EXPECT_GT(decoded[77] / outlier, 0);
        EXPECT_LT(relative_error(row, decoded), 1);
    }
}

TEST_P(Conformance, encoding_again_does_not_wander) {
    for (Shape shape : test::shapes) {
        const auto row = random_row(shape, 16 * std::max<std::size_t>(block, 256), 12), once = there_and_back(format, row);
        const double error = relative_error(row, once);
        // Each time the nearest point is looked for anew among overlapping grids, so small moves remain.
        EXPECT_LE(relative_error(row, there_and_back(format, once)), 1.03 * error) << static_cast<int>(shape);
    }
}

TEST_P(Conformance, importance_lowers_the_weighted_error) {
    for (Shape shape : test::shapes) {
        const auto row = random_row(shape, 16 * std::max<std::size_t>(block, 256), 13);
        const auto importance = test::random_importance(row.size(), 14);
        const double plain = relative_error(row, there_and_back(format, row), importance.data());
        const double weighted = relative_error(row, there_and_back(format, row, importance.data()), importance.data());
        // One value per block leaves nothing to trade.
        EXPECT_LE(weighted, block == 1 ? plain : 0.998 * plain) << static_cast<int>(shape);
    }
}

TEST_P(Conformance, equal_importance_changes_nothing) {
    const auto row = random_row(Shape::laplace, 2 * std::max<std::size_t>(block, 256), 15);
    for (float weight : {1.0f, 0.25f, 4096.0f, 0.0f}) {
        const std::vector<float> importance(row.size(), weight);
        EXPECT_EQ(encode(format, row), encode(format, row, importance.data())) << weight;
    }
}

TEST_P(Conformance, wild_importance_stays_finite) {
    const auto row = random_row(Shape::gaussian, 2 * std::max<std::size_t>(block, 256), 16);
    std::vector<float> importance(row.size(), 0.0f);
    for (std::size_t i = 0; i < row.size(); i += 3) importance[i] = i % 2 ? 1e30f : 1e-30f;
    const auto decoded = there_and_back(format, row, importance.data());
    for (float value : decoded) ASSERT_TRUE(std::isfinite(value));
    EXPECT_LE(relative_error(row, decoded), 1.0);
}

TEST_P(Conformance, panels_hold_the_same_values) {
    if (!has_panels(format)) GTEST_SKIP() << format.name << " has no panels";
    const std::int64_t rows = panel_rows + 3, width = 9 * std::max<std::int64_t>(format.values_per_block, panel_step);
    const core::Tensor matrix = make_tensor(format, {rows, width});
    for (std::int64_t r = 0; r < rows; ++r) {
        const auto row = random_row(Shape::student, static_cast<std::size_t>(width), 17 + static_cast<std::uint64_t>(r));
        format.encode(row.data(), nullptr, matrix.row(r), width);
    }
    std::vector<std::byte> panel(static_cast<std::size_t>(panel_bytes(format, width)), std::byte{0xAB});
    EXPECT_EQ(panel.size() % 64, 0u);
    std::vector<float> expected(static_cast<std::size_t>(width)), actual(expected);
    for (std::int64_t p = 0; p < 2; ++p) {
        pack_panel(matrix, p, panel.data());
        for (std::int64_t lane = 0; lane < panel_rows; ++lane) {
            const std::int64_t r = p * panel_rows + lane;
            if (r >= rows) break;
            decode_panel_row(format, panel.data(), lane, width, actual.data());
            format.decode.at(cpu::Isa::base)(matrix.row(r), expected.data(), width);
            ASSERT_EQ(0, std::memcmp(expected.data(), actual.data(), expected.size() * sizeof(float))) << "row " << r;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(formats, Conformance, testing::ValuesIn(weight_formats()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(Registry, names_and_ids_are_unique) {
    std::set<std::string_view> names;
    std::set<int> types, file_types;
    for (const Format* format : all()) {
        EXPECT_TRUE(names.insert(format->name).second) << format->name;
        EXPECT_TRUE(format->gguf_type < 0 || types.insert(format->gguf_type).second) << format->name;
        EXPECT_TRUE(format->gguf_file_type < 0 || file_types.insert(format->gguf_file_type).second) << format->name;
    }
    EXPECT_TRUE(std::is_sorted(all().begin(), all().end(), [](const Format* a, const Format* b) { return a->name < b->name; }));
}

TEST(Registry, what_is_not_there_is_not_found) {
    EXPECT_EQ(find("q3_7"), nullptr);
    EXPECT_EQ(find_gguf_type(-1), nullptr);
    EXPECT_EQ(find_gguf_type(100000), nullptr);
    try {
        get("q3_7");
        FAIL();
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::usage);
        EXPECT_NE(std::string(error.what()).find("q3_7"), std::string::npos);
        EXPECT_NE(std::string(error.what()).find("q4_k"), std::string::npos);
    }
}

TEST(Registry, names_are_found_in_any_case) { EXPECT_EQ(&get("Q4_K"), find("q4_k")); }

}  // namespace
}  // namespace tailor::formats
