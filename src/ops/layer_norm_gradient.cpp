// LayerNorm gradient: what a normalization to mean 0 and variance 1 hands back to its input.
//
// With n = (x - mean(x)) s, s = 1 / sqrt(variance(x) + epsilon) and h = gradient * weight, over each group of columns:
//     dx = s (h - mean(h) - n mean(h n))
// from Ba, Kiros and Hinton, "Layer Normalization", 2016, equation 4. Mean and variance are computed anew, in the passes of layer_norm.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/normalize.h"

#define TAILOR_THIS_FILE "ops/layer_norm_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::layer_norm_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void hand_back(const float* x, const float* gradient, const float* weight, float* y, std::int64_t width, float epsilon) noexcept {
    const auto count = static_cast<float>(width);
    Vector sums = {}, gradients = {};
    float rest = 0, gradient_rest = 0;
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
        sums += load(x + i);
        gradients += weight ? load(gradient + i) * load(weight + i) : load(gradient + i);
    }
    for (; i < width; ++i) rest += x[i], gradient_rest += gradient[i] * (weight ? weight[i] : 1.0f);
    const float mean = (sum(sums) + rest) / count, mean_gradient = (sum(gradients) + gradient_rest) / count;
    Vector squares = {}, products = {};
    float square = 0, product = 0;
    for (i = 0; i + lanes <= width; i += lanes) {
        const Vector v = load(x + i) - mean, h = weight ? load(gradient + i) * load(weight + i) : load(gradient + i);
        squares = fused(v, v, squares);
        products = fused(v, h, products);
    }
    for (; i < width; ++i) square += (x[i] - mean) * (x[i] - mean), product += (x[i] - mean) * gradient[i] * (weight ? weight[i] : 1.0f);
    const float scale = 1.0f / std::sqrt((sum(squares) + square) / count + epsilon), back = scale * scale * (sum(products) + product) / count;
    for (i = 0; i + lanes <= width; i += lanes) {
        const Vector v = load(x + i) - mean, h = weight ? load(gradient + i) * load(weight + i) : load(gradient + i);
        store(y + i, fused(v, broadcast(-back), h - mean_gradient) * scale);
    }
    for (; i < width; ++i) y[i] = (gradient[i] * (weight ? weight[i] : 1.0f) - mean_gradient - (x[i] - mean) * back) * scale;
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const auto epsilon = static_cast<float>(call.attributes.real("epsilon"));
    for_each_norm_group(call, [&](std::int64_t r, std::int64_t begin, std::int64_t group) {
        hand_back(x.row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, norm_weights(call.input(2), begin, x.shape.width()), y.row_f32(r) + begin, group, epsilon);
    });
}

}  // namespace tailor::ops::layer_norm_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::layer_norm_gradient_kernels {

static TensorType shape(const NodeView& node) { return norm_gradient_shape(node); }

/// One group, in place of its gradient.
static void reference_group(const double* x, double* h, std::int64_t group, double epsilon) {
    const auto count = static_cast<double>(group);
    double mean = 0, variance = 0, mean_gradient = 0, products = 0;
    for (std::int64_t i = 0; i < group; ++i) mean += x[i] / count, mean_gradient += h[i] / count;
    for (std::int64_t i = 0; i < group; ++i) variance += (x[i] - mean) * (x[i] - mean) / count, products += (x[i] - mean) * h[i] / count;
    const double scale = 1 / std::sqrt(variance + epsilon);
    for (std::int64_t i = 0; i < group; ++i) h[i] = scale * (h[i] - mean_gradient - (x[i] - mean) * scale * scale * products);
}

static void reference(const Call& call) {
    const core::Tensor* const weight = call.input(2);
    const std::int64_t width = call.output.shape.width(), group = norm_group(call.attributes, width), step = weight ? norm_weight_step(*weight, width, group) : 0;
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> h = row_as_double(call.inputs[1], r);
        for (std::int64_t i = 0; weight && i < width; ++i) h[static_cast<std::size_t>(i)] *= static_cast<double>(weight->row_f32(0)[i / group * step + i % group]);
        for (std::int64_t begin = 0; begin < width; begin += group) reference_group(x.data() + begin, h.data() + begin, group, call.attributes.real("epsilon"));
        store_row(call.output, r, h);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 12.0 * static_cast<double>(node.output.shape.elements())); }

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the means, one for variance and product, one for the result", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::layer_norm_gradient_kernels

namespace tailor::ops::entries {
extern const Op layer_norm_gradient = {
    .name = "layer_norm_gradient",
    .doc = "x, gradient [rows, width], optional weight [group] or [width], attributes epsilon and group (width) -> [rows, width]: the gradient of layer_norm's x",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &layer_norm_gradient_kernels::shape,
    .reference = &layer_norm_gradient_kernels::reference,
    .kernels = layer_norm_gradient_kernels::kernels,
    .cost = &layer_norm_gradient_kernels::cost,
    .cases = &norm_gradient_cases,
    .not_differentiable = "it is a derivative, and second derivatives of normalizations are not built",
};
}  // namespace tailor::ops::entries
#endif
