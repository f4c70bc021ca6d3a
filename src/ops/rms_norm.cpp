// RMSNorm: y = x / sqrt(mean(x^2) + epsilon) * weight, over each row.
//
// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, equation 4. The sum of squares is kept in several
// f32 lanes that are folded in a fixed order, so a row's result never depends on the thread count.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/support.h"

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
    for (i = 0; i + lanes <= width; i += lanes) store(y + i, load(x + i) * scale * load(weight + i));
    for (; i < width; ++i) y[i] = x[i] * scale * weight[i];
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const std::int64_t width = x.shape.width(), rows = x.shape.rows(), chunk = rows_per_chunk(width);
    const auto epsilon = static_cast<float>(call.attributes.real("epsilon"));
    const float* const weight = call.inputs[1].row_f32(0);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) normalize(x.row_f32(r), weight, y.row_f32(r), width, epsilon);
    });
}

}  // namespace tailor::ops::rms_norm_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::rms_norm_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[1].shape.elements() == node.inputs[0].shape.width(), "rms_norm: the weight must have one value per column", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const std::vector<double> weight = row_as_double(call.inputs[1], 0);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        double squares = 0;
        for (const double v : x) squares += v * v;
        const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + call.attributes.real("epsilon"));
        for (std::size_t i = 0; i < x.size(); ++i) x[i] *= scale * weight[i];
        store_row(call.output, r, x);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.output.shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t width : {1, 7, 64, 100, 2048})
        for (const std::int64_t rows : {1, 3, 130}) list.push_back({.inputs = {f32({rows, width}), f32({width})}, .attributes = {{"epsilon", 1e-5}}});
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the sum of squares, one to scale", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::rms_norm_kernels

namespace tailor::ops::entries {
extern const Op rms_norm = {
    .name = "rms_norm",
    .doc = "x [rows, width], weight [width] -> [rows, width]: x / sqrt(mean(x^2) + epsilon) * weight",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &rms_norm_kernels::shape,
    .reference = &rms_norm_kernels::reference,
    .kernels = rms_norm_kernels::kernels,
    .cost = &rms_norm_kernels::cost,
    .in_place = true,
    .cases = &rms_norm_kernels::cases,
};
}  // namespace tailor::ops::entries
#endif
