// LayerNorm: y = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias, over each row, or over each group of its columns.
//
// Ba, Kiros and Hinton, "Layer Normalization", 2016, equation 4. The variance is the mean of (x - mean)^2, taken in a second
// pass over the row, which is in the first-level cache by then: the one-pass form E[x^2] - E[x]^2 cancels where the mean is
// large. Sums are kept in several f32 lanes that are folded in a fixed order.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/normalize.h"

#define TAILOR_THIS_FILE "ops/layer_norm.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::layer_norm_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float mean_of(const float* x, std::int64_t width) noexcept {
    Vector sums[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * lanes <= width; i += 2 * lanes)
        for (int u = 0; u < 2; ++u) sums[u] += load(x + i + u * lanes);
    float total = sum(sums[0] + sums[1]);
    for (; i < width; ++i) total += x[i];
    return total / static_cast<float>(width);
}

static float variance_of(const float* x, float mean, std::int64_t width) noexcept {
    Vector squares[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * lanes <= width; i += 2 * lanes)
        for (int u = 0; u < 2; ++u) {
            const Vector v = load(x + i + u * lanes) - mean;
            squares[u] = fused(v, v, squares[u]);
        }
    float total = sum(squares[0] + squares[1]);
    for (; i < width; ++i) total += (x[i] - mean) * (x[i] - mean);
    return total / static_cast<float>(width);
}

static void normalize(const float* x, const float* weight, const float* bias, float* y, std::int64_t width, float epsilon) noexcept {
    const float mean = mean_of(x, width), scale = 1.0f / std::sqrt(variance_of(x, mean, width) + epsilon);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
        Vector v = (load(x + i) - mean) * scale;
        if (weight) v = v * load(weight + i);
        store(y + i, bias ? v + load(bias + i) : v);
    }
    // The questions stand outside the loops: loads that the compiler masks are no faults of a processor, but of some emulators.
    for (std::int64_t j = i; j < width; ++j) y[j] = (x[j] - mean) * scale;
    for (std::int64_t j = i; weight && j < width; ++j) y[j] *= weight[j];
    for (std::int64_t j = i; bias && j < width; ++j) y[j] += bias[j];
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const std::int64_t width = x.shape.width();
    const auto epsilon = static_cast<float>(call.attributes.real("epsilon"));
    for_each_norm_group(call, [&](std::int64_t r, std::int64_t begin, std::int64_t group) {
        normalize(x.row_f32(r) + begin, norm_weights(call.input(1), begin, width), norm_weights(call.input(2), begin, width), y.row_f32(r) + begin, group, epsilon);
    });
}

}  // namespace tailor::ops::layer_norm_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::layer_norm_kernels {

static TensorType shape(const NodeView& node) { return norm_shape(node, 2); }

// Value `i` of group `g`; `otherwise` for an absent tensor.
static double value_at(const core::Tensor* tensor, std::int64_t width, std::int64_t group, std::int64_t g, std::int64_t i, double otherwise) {
    return tensor ? static_cast<double>(tensor->row_f32(0)[g * norm_weight_step(*tensor, width, group) + i]) : otherwise;
}

static void reference(const Call& call) {
    const std::int64_t width = call.output.shape.width(), group = norm_group(call.attributes, width);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (std::int64_t g = 0; g < width / group; ++g) {
            double* const v = x.data() + g * group;
            double mean = 0, variance = 0;
            for (std::int64_t i = 0; i < group; ++i) mean += v[i] / static_cast<double>(group);
            for (std::int64_t i = 0; i < group; ++i) variance += (v[i] - mean) * (v[i] - mean) / static_cast<double>(group);
            const double scale = 1 / std::sqrt(variance + call.attributes.real("epsilon"));
            for (std::int64_t i = 0; i < group; ++i)
                v[i] = (v[i] - mean) * scale * value_at(call.input(1), width, group, g, i, 1) + value_at(call.input(2), width, group, g, i, 0);
        }
        store_row(call.output, r, x);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 8.0 * static_cast<double>(node.output.shape.elements())); }
static std::vector<Case> cases() { return norm_cases(3); }

static std::vector<Value> gradient(const Differentiation& d) { return norm_gradient(d, "layer_norm", "layer_norm_gradient"); }

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the mean, one for the variance, one to scale", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::layer_norm_kernels

namespace tailor::ops::entries {
extern const Op layer_norm = {
    .name = "layer_norm",
    .doc = "x [rows, width], optional weight and bias [group] or [width], attributes epsilon and group (width) -> [rows, width]: "
           "(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias over each group of columns",
    .least_inputs = 1,
    .most_inputs = 3,
    .shape = &layer_norm_kernels::shape,
    .reference = &layer_norm_kernels::reference,
    .kernels = layer_norm_kernels::kernels,
    .cost = &layer_norm_kernels::cost,
    .in_place = true,
    .cases = &layer_norm_kernels::cases,
    .gradient = &layer_norm_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
