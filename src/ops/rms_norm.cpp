// RMSNorm: y = x / sqrt(mean(x^2) + epsilon) * weight, over each row, or over each group of its columns.
//
// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, equation 4. Groups are heads where queries and keys are
// normalized. The sum of squares is kept in several f32 lanes that are folded in a fixed order, so a row's result never
// depends on the thread count.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/normalize.h"

#define TAILOR_THIS_FILE "ops/rms_norm.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::rms_norm_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void normalize(const float* x, const float* weight, float* y, std::int64_t width, float epsilon) noexcept {
    Vector squares[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * lanes <= width; i += 2 * lanes)
        for (int u = 0; u < 2; ++u) {
            const Vector v = load(x + i + u * lanes);
            squares[u] = fused(v, v, squares[u]);
        }
    float total = sum(squares[0] + squares[1]);
    for (; i < width; ++i) total += x[i] * x[i];
    const float scale = 1.0f / std::sqrt(total / static_cast<float>(width) + epsilon);
    for (i = 0; i + lanes <= width; i += lanes) store(y + i, weight ? load(x + i) * scale * load(weight + i) : load(x + i) * scale);
    for (; i < width; ++i) y[i] = weight ? x[i] * scale * weight[i] : x[i] * scale;
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const auto epsilon = static_cast<float>(call.attributes.real("epsilon"));
    for_each_norm_group(call, [&](std::int64_t r, std::int64_t begin, std::int64_t group) {
        normalize(x.row_f32(r) + begin, norm_weights(call.input(1), begin, x.shape.width()), y.row_f32(r) + begin, group, epsilon);
    });
}

}  // namespace tailor::ops::rms_norm_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::rms_norm_kernels {

static TensorType shape(const NodeView& node) { return norm_shape(node, 1); }

static void reference(const Call& call) {
    const core::Tensor* const weight = call.input(1);
    const std::int64_t width = call.output.shape.width(), group = norm_group(call.attributes, width), step = weight ? norm_weight_step(*weight, width, group) : 0;
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (std::int64_t begin = 0; begin < width; begin += group) {
            double* const v = x.data() + begin;
            double squares = 0;
            for (std::int64_t i = 0; i < group; ++i) squares += v[i] * v[i];
            const double scale = 1 / std::sqrt(squares / static_cast<double>(group) + call.attributes.real("epsilon"));
            for (std::int64_t i = 0; i < group; ++i) v[i] *= scale * (weight ? static_cast<double>(weight->row_f32(0)[begin / group * step + i]) : 1);
        }
        store_row(call.output, r, x);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.output.shape.elements())); }
static std::vector<Case> cases() { return norm_cases(2); }

static std::vector<Value> gradient(const Differentiation& d) { return norm_gradient(d, "rms_norm", "rms_norm_gradient"); }

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the sum of squares, one to scale", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::rms_norm_kernels

namespace tailor::ops::entries {
extern const Op rms_norm = {
    .name = "rms_norm",
    .doc = "x [rows, width], optional weight [group] or [width], attributes epsilon and group (width) -> [rows, width]: "
           "x / sqrt(mean(x^2) + epsilon) * weight over each group of columns",
    .least_inputs = 1,
    .most_inputs = 2,
    .shape = &rms_norm_kernels::shape,
    .reference = &rms_norm_kernels::reference,
    .kernels = rms_norm_kernels::kernels,
    .cost = &rms_norm_kernels::cost,
    .in_place = true,
    .cases = &rms_norm_kernels::cases,
    .gradient = &rms_norm_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
