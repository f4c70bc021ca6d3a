// One-bit residual: what each number lacks to be its row's mean magnitude with its own sign, m sign(x) - x with m = mean |x|.
//
// x plus this is the row in one bit per number (Rastegari et al., "XNOR-Net", 2016, section 3.1). It is a step function, whose derivative is
// taken to be none, so that the sum hands its gradient on to x as it came: the straight-through estimator (Bengio et al., 2013).
// The sign of 0 is +.
#include <cmath>

#include "ops/elementwise.h"
#include "ops/support.h"

namespace tailor::ops::one_bit_residual_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    return f32(node.inputs[0].shape);
}

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    call.pool->run(call.output.shape.rows(), [&](std::int64_t r, int) {
        const float* const x = call.inputs[0].row_f32(r);
        float* const y = call.output.row_f32(r);
        double total = 0;
        for (std::int64_t i = 0; i < width; ++i) total += std::fabs(static_cast<double>(x[i]));
        const auto magnitude = static_cast<float>(total / static_cast<double>(width));
        for (std::int64_t i = 0; i < width; ++i) y[i] = (x[i] < 0 ? -magnitude : magnitude) - x[i];
    });
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> row = row_as_double(call.inputs[0], r);
        double total = 0;
        for (const double x : row) total += std::fabs(x);
        for (double& x : row) x = (x < 0 ? -1 : 1) * total / static_cast<double>(row.size()) - x;
        store_row(call.output, r, row);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 3.0 * static_cast<double>(node.output.shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t width : {1, 7, 128, 513}) list.push_back({.inputs = {f32({5, width})}, .attributes = {}});
    return list;
}

static const Kernel kernels[] = {{.name = "plain", .doc = "one row after the other", .run = {{&run}}}};

}  // namespace tailor::ops::one_bit_residual_kernels

namespace tailor::ops::entries {
extern const Op one_bit_residual = {
    .name = "one_bit_residual",
    .doc = "x [rows, width] -> [rows, width]: mean |x| of the row times the sign of x, less x",
    .shape = &one_bit_residual_kernels::shape,
    .reference = &one_bit_residual_kernels::reference,
    .kernels = one_bit_residual_kernels::kernels,
    .cost = &one_bit_residual_kernels::cost,
    .cases = &one_bit_residual_kernels::cases,
    .tables = 1,
    .not_differentiable = "a step function, whose sum with x is trained straight through",
};
}  // namespace tailor::ops::entries
