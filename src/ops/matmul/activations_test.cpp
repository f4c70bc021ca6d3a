// Rounded activations against their definition, written plainly: every kind, every level of this machine, groups of 32 and of 16, and what a
// row with an infinite or undefined value becomes.
#include "ops/matmul/activations.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "formats/registry.h"
#include "ops/support.h"

namespace tailor::ops::matmul_kernels {
namespace {

constexpr std::int64_t rows = 5, k = 512;

/// Numbers of every size, blocks of zeros among them.
core::Tensor numbers() {
    core::Tensor x = formats::make_tensor(formats::get("f32"), {rows, k});
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t i = 0; i < k; ++i)
            x.row_f32(r)[i] = i / 32 == 3 ? 0.0f : std::sin(static_cast<float>(r * k + i)) * std::pow(10.0f, static_cast<float>(i / 32 % 7 - 3));
    return x;
}

/// The activations and the memory they lie in.
struct Rounded {
    core::Tensor scratch = formats::make_tensor(formats::get("i32"), {activation_bytes(rows, k) / 4 + 1});
    Activations a;
    Rounded(const core::Tensor& x, const char* format, ActivationKind kind, Totals totals, cpu::Isa isa) {
        static core::Pool pool(2);
        const Attributes none;
        const std::vector<core::Tensor> inputs{x};
        a = quantize.at(isa)({none, inputs, {}, {}, {}, &pool, isa, scratch.data}, *formats::get(format).integers, kind, totals);
    }
    /// The integer of value `i` of a cell.
    int integer(std::int64_t cell, std::int64_t i) const {
        const std::byte* const at = a.values + cell * a.block_bytes();
        const auto* const digits = reinterpret_cast<const std::int8_t*>(at);
        if (a.kind == ActivationKind::one_digit) return digits[i];
        if (a.kind == ActivationKind::two_digits) return 256 * digits[i] + digits[32 + i];
        constexpr int places[] = {0, 2, 1, 3};  // of each four
        std::int16_t word;
        std::memcpy(&word, at + 2 * (i / 4 * 4 + places[i % 4]), sizeof word);
        return word;
    }
};

/// The integers of every block are the nearest to value / scale, where the largest meets the limit.
void expect_values(const Rounded& rounded, const core::Tensor& x, int limit) {
    const Activations& a = rounded.a;
    const std::int64_t count = a.values_per_block();
    for (std::int64_t b = 0; b < a.blocks; ++b)
        for (std::int64_t r = 0; r < rows; ++r) {
            const float* const values = x.row_f32(r) + b * count;
            double largest = 0;
            for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(static_cast<double>(values[i])));
            const std::int64_t cell = b * rows + r;
            ASSERT_NEAR(a.scales[cell], largest / limit, largest / limit * 1e-6) << "block " << b << ", row " << r;
            for (std::int64_t i = 0; i < count; ++i)
                ASSERT_NEAR(rounded.integer(cell, i), largest > 0 ? values[i] / largest * limit : 0, 0.51) << "value " << i << ", block " << b << ", row " << r;
        }
}

class RoundedActivations : public testing::TestWithParam<cpu::Isa> {};

TEST_P(RoundedActivations, AreTheNearestIntegers) {
    const core::Tensor x = numbers();
    expect_values(Rounded(x, "q4_k", ActivationKind::words, Totals::none, GetParam()), x, 32639);
    expect_values(Rounded(x, "q4_k", ActivationKind::two_digits, Totals::sums, GetParam()), x, 32639);
    expect_values(Rounded(x, "q4_0", ActivationKind::one_digit, Totals::corrections, GetParam()), x, 127);
    expect_values(Rounded(x, "q6_k", ActivationKind::unit_words, Totals::none, GetParam()), x, largest_unit_word(*formats::get("q6_k").integers));
}

TEST_P(RoundedActivations, AddUpByGroups) {
    const core::Tensor x = numbers();
    for (const char* format : {"q4_0", "q6_k"}) {  // groups of 32 and of 16, zeros 8 and 32
        const formats::IntegerForm& form = *formats::get(format).integers;
        const auto round = [&](Totals totals) { return Rounded(x, format, ActivationKind::words, totals, GetParam()); };
        const Rounded corrected = round(Totals::corrections), summed = round(Totals::sums), paired = round(Totals::pair_corrections);
        ASSERT_EQ(corrected.a.groups_per_block, 32 / form.group);
        for (std::int64_t g = 0; g < k / form.group; ++g)
            for (std::int64_t r = 0; r < rows; ++r) {
                const std::int64_t cell = g * form.group / 32 * rows + r, place = g * rows + r;
                int pairs[2] = {};
                for (std::int64_t i = 0; i < form.group; ++i) pairs[i / 2 % 2] += corrected.integer(cell, g * form.group % 32 + i);
                SCOPED_TRACE(std::string(format) + ", group " + std::to_string(g) + ", row " + std::to_string(r));
                ASSERT_EQ(corrected.a.corrections[place], -form.zero * (pairs[0] + pairs[1]));
                ASSERT_FLOAT_EQ(summed.a.sums[place], summed.a.scales[cell] * static_cast<float>(pairs[0] + pairs[1]));
                const auto both = static_cast<std::uint32_t>(paired.a.corrections[place]);
                ASSERT_EQ(both & 0xFFFF, static_cast<std::uint32_t>(-form.zero * pairs[0]) & 0xFFFF);
                ASSERT_EQ(both >> 16, static_cast<std::uint32_t>(-form.zero * pairs[1]) & 0xFFFF);
            }
    }
}

TEST_P(RoundedActivations, AddUpByGroupsOfAUnit) {
    for (const char* format : {"q4_k", "q2_k"}) {  // groups of 32 and of 16
        const std::int64_t group = formats::get(format).integers->group, groups = formats::panel_unit / group;
        const Rounded summed(numbers(), format, ActivationKind::unit_words, Totals::sums, GetParam());
        ASSERT_EQ(summed.a.groups_per_block, groups);
        for (std::int64_t g = 0; g < k / group; ++g)
            for (std::int64_t r = 0; r < rows; ++r) {
                const std::int64_t cell = g / groups * rows + r;
                int total = 0;
                for (std::int64_t i = 0; i < group; ++i) total += summed.integer(cell, g % groups * group + i);
                ASSERT_FLOAT_EQ(summed.a.sums[g * rows + r], summed.a.scales[cell] * static_cast<float>(total)) << format << ", group " << g << ", row " << r;
            }
    }
}

TEST_P(RoundedActivations, ShowInfiniteAndUndefinedValues) {
    for (const float value : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        for (const ActivationKind kind : {ActivationKind::words, ActivationKind::two_digits, ActivationKind::one_digit}) {
            core::Tensor x = numbers();
            x.row_f32(2)[77] = value;
            const Rounded rounded(x, "q4_0", kind, Totals::none, GetParam());
            for (std::int64_t cell = 0; cell < rows * rounded.a.blocks; ++cell)
                ASSERT_EQ(std::isnan(rounded.a.scales[cell]), cell == 77 / 32 * rows + 2) << value << ", cell " << cell;
        }
}

INSTANTIATE_TEST_SUITE_P(Levels, RoundedActivations, testing::ValuesIn(cpu::available_isas()),
                         [](const testing::TestParamInfo<cpu::Isa>& info) { return std::string(cpu::name(info.param)); });

}  // namespace
}  // namespace tailor::ops::matmul_kernels
