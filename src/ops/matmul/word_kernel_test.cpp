// The kernels of integer codes at the ends of their ranges: every activation is the largest of its block, every weight nearly so,
// and their signs agree, so that each sum is as large as it can get. Such activations are integers in every form, so what
// remains is the rounding of a few sums in f32: a saturated or wrapped sum would be off by far more.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "formats/panels.h"
#include "formats/registry.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/integer_kind.h"
#include "ops/matmul/kernels.h"
#include "ops/support.h"

namespace tailor::ops::matmul_kernels {
namespace {

constexpr std::int64_t n = 16, k = 1024;

std::vector<const formats::Format*> integer_formats() {
    std::vector<const formats::Format*> list;
    for (const formats::Format* format : formats::all())
        if (format->weights && format->integers) list.push_back(format);
    return list;
}

/// Rows of one sign, of random signs, and of random numbers.
core::Tensor extreme_weights(const formats::Format& format) {
    core::Tensor weights = formats::make_tensor(format, {n, k});
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> row(static_cast<std::size_t>(k));
    for (std::int64_t j = 0; j < n; ++j) {
        for (float& v : row) {
            v = normal(random);
            if (j < 12) v = j % 3 == 0 ? 1.0f : j % 3 == 1 ? -1.0f : std::copysign(1.0f, v);
        }
        format.encode(row.data(), nullptr, weights.row(j), k);
    }
    return weights;
}

/// For each row of weights its signs, and then the opposite ones, times 127.
core::Tensor extreme_activations(const core::Tensor& weights) {
    core::Tensor x = formats::make_tensor(formats::get("f32"), {2 * n, k});
    for (std::int64_t r = 0; r < 2 * n; ++r) {
        const std::vector<double> w = row_as_double(weights, r % n);
        for (std::int64_t i = 0; i < k; ++i) x.row_f32(r)[i] = (w[static_cast<std::size_t>(i)] > 0) == (r < n) ? 127.0f : -127.0f;
    }
    return x;
}

void expect_exact(const cpu::PerIsa<Run>& kernel, cpu::Isa isa, const core::Tensor& weights, const core::Tensor& x, const char* name) {
    static core::Pool pool(2);
    const core::Tensor panels = formats::make_panels(weights), y = formats::make_tensor(formats::get("f32"), {x.shape.rows(), n});
    const core::Tensor scratch = formats::make_tensor(formats::get("i32"), {activation_bytes(x.shape.rows(), k) / 4 + 1});
    const Attributes none;
    const std::vector<core::Tensor> inputs{x, panels};
    kernel.at(isa)({none, inputs, y, {}, {}, &pool, isa, scratch.data});
    for (std::int64_t j = 0; j < n; ++j) {
        const std::vector<double> w = row_as_double(weights, j);
        for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
            double total = 0, size = 0;
            for (std::int64_t i = 0; i < k; ++i) {
                const double product = w[static_cast<std::size_t>(i)] * x.row_f32(r)[i];
                total += product, size += std::fabs(product);
            }
            ASSERT_NEAR(y.row_f32(r)[j], total, size * 2e-6) << name << " of " << weights.format->name << " at " << cpu::name(isa) << ", row " << r << ", column " << j;
        }
    }
}

class IntegerKernels : public testing::TestWithParam<const formats::Format*> {};

TEST_P(IntegerKernels, AreExactAtTheEndsOfTheirRanges) {
    const formats::Format& format = *GetParam();
    const core::Tensor weights = extreme_weights(format), x = extreme_activations(weights);
    const core::Tensor first_row = formats::view(formats::get("f32"), {1, k}, x.data);
    for (const cpu::Isa isa : cpu::available_isas())
        for (const core::Tensor& rows : {x, first_row}) {
            expect_exact(word_kernel, isa, weights, rows, "words");
            if (fits_narrow(*format.integers)) expect_exact(narrow_kernel, isa, weights, rows, "narrow");
            if (fits_scaled(format)) expect_exact(isa == cpu::Isa::avx512 ? wide_scaled_kernel : scaled_kernel, isa, weights, rows, "scaled words");
            if (byte_kernel_exact.at(isa)) expect_exact(byte_kernel_exact, isa, weights, rows, "two digits");
            if (byte_kernel_short.at(isa)) expect_exact(byte_kernel_short, isa, weights, rows, "one digit");
        }
}

// What integer_kind.h and the kernels rely on.
TEST_P(IntegerKernels, FormsKeepTheirContract) {
    const formats::IntegerForm& form = *GetParam()->integers;
    EXPECT_TRUE(!form.minima || (form.zero == 0 && !form.table));
    EXPECT_TRUE(form.group != 16 || form.scales == formats::ScaleKind::super || form.scales == formats::ScaleKind::super_nibble);
    const auto [zero, largest] = unpacked_bytes(form);
    EXPECT_TRUE(zero >= 0 && zero <= largest && largest <= 255);
}

// Unit words rely on it for any bytes of a file.
TEST_P(IntegerKernels, NoGroupScaleIsAboveTheLargest) {
    const formats::Format& format = *GetParam();
    if (format.integers->scales != formats::ScaleKind::super && format.integers->scales != formats::ScaleKind::super_nibble) return;
    std::mt19937 random(5);
    int largest = 0;
    for (int i = 0; i < 2000; ++i) {
        std::vector<std::byte> block(static_cast<std::size_t>(format.bytes_per_block));
        for (std::byte& b : block) b = static_cast<std::byte>(random());
        formats::BlockIntegers integers{};
        format.integers->split(block.data(), integers);
        for (std::int64_t g = 0; g < format.values_per_block / format.integers->group; ++g) largest = std::max(largest, std::abs(static_cast<std::int8_t>(integers.group_scales[g])));
    }
    EXPECT_EQ(largest, format.integers->largest_scale);
}

INSTANTIATE_TEST_SUITE_P(Formats, IntegerKernels, testing::ValuesIn(integer_formats()), [](const auto& info) { return std::string(info.param->name); });

TEST(IntegerKinds, OnlyShortCodesAreNarrow) {
    formats::IntegerForm form{.bits = 4};
    EXPECT_TRUE(fits_narrow(form));
    form.bits = 5;  // 16 * 127 * 31 is above 2^15 - 1
    EXPECT_FALSE(fits_narrow(form));
    form.zero = 16;
    EXPECT_TRUE(fits_narrow(form));
    form = {.bits = 6, .zero = 32, .group = 16};
    EXPECT_TRUE(fits_narrow(form));
    form.group = 32;
    EXPECT_FALSE(fits_narrow(form));
    form = {.bits = 8, .zero = 128};
    EXPECT_FALSE(fits_narrow(form));
}

}  // namespace
}  // namespace tailor::ops::matmul_kernels
