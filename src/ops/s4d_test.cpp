// S4D as a convolution: the recurrence must give what the kernel K[j] = 2 Re sum C (l - 1) / A l^j gives, computed here in double.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numeric>

#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::ops {
namespace {

TEST(S4d, IsAConvolution) {
    constexpr std::int64_t rows = 200, width = 5, n = 3;
    const Op& op = get("s4d");
    const std::vector<TensorType> types = {f32({rows, width}), f32({width}), f32({width, 2 * n}), f32({width, 2 * n})};
    std::vector<core::Tensor> inputs;
    for (const TensorType& type : types) {
        inputs.push_back(formats::make_tensor(*type.format, type.shape));
        for (std::int64_t i = 0; i < type.shape.elements(); ++i) inputs.back().row_f32(0)[i] = static_cast<float>(std::sin(1.3 * static_cast<double>(i) + static_cast<double>(inputs.size())));
    }
    op.cases().front().confine(inputs);
    std::vector<core::Tensor> states = {formats::make_tensor(formats::get("f32"), {1, width, 2 * n})};
    const core::Tensor output = formats::make_tensor(formats::get("f32"), {rows, width});
    std::vector<std::int32_t> sequences(rows, 0), positions(rows);
    std::iota(positions.begin(), positions.end(), 0);
    core::Pool pool(1);
    const Attributes none;
    op.kernels[0].run.at(cpu::active_isa())({none, inputs, output, states, {sequences, positions}, &pool, cpu::active_isa()});
    for (std::int64_t c = 0; c < width; ++c) {
        std::vector<double> kernel(rows);
        for (std::int64_t i = 0; i < n; ++i) {
            const std::complex<double> a(inputs[2].row_f32(c)[2 * i], inputs[2].row_f32(c)[2 * i + 1]), weight(inputs[3].row_f32(c)[2 * i], inputs[3].row_f32(c)[2 * i + 1]);
            const std::complex<double> l = std::exp(static_cast<double>(inputs[1].row_f32(0)[c]) * a);
            for (std::size_t j = 0; j < rows; ++j) kernel[j] += 2 * (weight * (l - 1.0) / a * std::pow(l, static_cast<double>(j))).real();
        }
        for (std::int64_t t = 0; t < rows; ++t) {
            double expected = 0;
            for (std::int64_t j = 0; j <= t; ++j) expected += kernel[static_cast<std::size_t>(j)] * static_cast<double>(inputs[0].row_f32(t - j)[c]);
            ASSERT_NEAR(expected, static_cast<double>(output.row_f32(t)[c]), 2e-5) << "column " << c << ", row " << t;
        }
    }
}

}  // namespace
}  // namespace tailor::ops
