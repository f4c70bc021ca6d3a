// RMSNorm gradient: what a root-mean-square normalization hands back to its input.
//
// With s = 1 / sqrt(mean(x^2) + epsilon) and h = gradient * weight, over each group of columns:
//     dx = s (h - x s^2 mean(h x))
// from Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, equation 4. s is computed anew: one pass over a row that is
// read anyway costs less than keeping it.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/normalize.h"

#define TAILOR_THIS_FILE "ops/rms_norm_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::rms_norm_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void hand_back(const float* x, const float* gradient, const float* weight, float* y, std::int64_t width, float epsilon) noexcept {
    Vector squares = {}, products = {};
    float square = 0, product = 0;
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
        const Vector v = load(x + i), h = weight ? load(gradient + i) * load(weight + i) : load(gradient + i);
        squares = fused(v, v, squares);
        products = fused(v, h, products);
    }
    for (; i < width; ++i) square += x[i] * x[i], product += x[i] * gradient[i] * (weight ? weight[i] : 1.0f);
    const float scale = 1.0f / std::sqrt((sum(squares) + square) / static_cast<float>(width) + epsilon);
    const float back = scale * scale * (sum(products) + product) / static_cast<float>(width);
    for (i = 0; i + lanes <= width; i += lanes) {
        const Vector h = weight ? load(gradient + i) * load(weight + i) : load(gradient + i);
        store(y + i, fused(load(x + i), broadcast(-back), h) * scale);
    }
    for (; i < width; ++i) y[i] = (gradient[i] * (weight ? weight[i] : 1.0f) - x[i] * back) * scale;
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const auto epsilon = static_cast<float>(call.attributes.real("epsilon"));
    for_each_norm_group(call, [&](std::int64_t r, std::int64_t begin, std::int64_t group) {
        hand_back(x.row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, norm_weights(call.input(2), begin, x.shape.width()), y.row_f32(r) + begin, group, epsilon);
    });
}

}  // namespace tailor::ops::rms_norm_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::rms_norm_gradient_kernels {

static TensorType shape(const NodeView& node) { return norm_gradient_shape(node); }

static void reference(const Call& call) {
    const core::Tensor* const weight = call.input(2);
    const std::int64_t width = call.output.shape.width(), group = norm_group(call.attributes, width), step = weight ? norm_weight_step(*weight, width, group) : 0;
    const auto count = static_cast<double>(group);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> h = row_as_double(call.inputs[1], r);
        for (std::int64_t begin = 0; begin < width; begin += group) {
            const double* const v = x.data() + begin;
            double* const y = h.data() + begin;
            double squares = 0, products = 0;
            for (std::int64_t i = 0; i < group; ++i) {
                y[i] *= weight ? static_cast<double>(weight->row_f32(0)[begin / group * step + i]) : 1;
                squares += v[i] * v[i], products += v[i] * y[i];
            }
            const double scale = 1 / std::sqrt(squares / count + call.attributes.real("epsilon"));
            for (std::int64_t i = 0; i < group; ++i) y[i] = scale * (y[i] - v[i] * scale * scale * products / count);
        }
        store_row(call.output, r, h);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 8.0 * static_cast<double>(node.output.shape.elements())); }

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for both sums, one for the result", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::rms_norm_gradient_kernels

namespace tailor::ops::entries {
extern const Op rms_norm_gradient = {
    .name = "rms_norm_gradient",
    .doc = "x, gradient [rows, width], optional weight [group] or [width], attributes epsilon and group (width) -> [rows, width]: the gradient of rms_norm's x",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &rms_norm_gradient_kernels::shape,
    .reference = &rms_norm_gradient_kernels::reference,
    .kernels = rms_norm_gradient_kernels::kernels,
    .cost = &rms_norm_gradient_kernels::cost,
    .cases = &norm_gradient_cases,
    .not_differentiable = "it is a derivative, and second derivatives of normalizations are not built",
};
}  // namespace tailor::ops::entries
#endif
