// The gradient of relative_error with respect to x: 2 g (x - y) / (|y|^2 + 1e-12), g the gradient of the row's error.
#include "cpu/simd.h"
#include "ops/distillation.h"

#define TAILOR_THIS_FILE "ops/relative_error_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::relative_error_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void hand_back(const float* x, const float* y, float gradient, float* z, std::int64_t width) noexcept {
    Vector squares = {};
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) squares = fused(load(y + i), load(y + i), squares);
    float size = sum(squares);
    for (; i < width; ++i) size += y[i] * y[i];
    const float factor = 2 * gradient / (size + 1e-12f);
    for (i = 0; i + lanes <= width; i += lanes) store(z + i, (load(x + i) - load(y + i)) * factor);
    for (; i < width; ++i) z[i] = (x[i] - y[i]) * factor;
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.inputs[1];
    const std::int64_t rows = x.shape.rows(), width = x.shape.width(), chunk = rows_per_chunk(width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            hand_back(x.row_f32(r), y.row_f32(r), counts(call, 3, r) ? call.inputs[2].row_f32(r)[0] : 0.0f, call.output.row_f32(r), width);
    });
}

}  // namespace tailor::ops::relative_error_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::relative_error_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_pair(node);
    require_row_gradient(node, 2);
    require_targets(node, 3);
    return node.inputs[0];
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        const std::vector<double> y = row_as_double(call.inputs[1], r);
        const double gradient = counts(call, 3, r) ? static_cast<double>(call.inputs[2].row_f32(r)[0]) : 0;
        double size = 0;
        for (const double v : y) size += v * v;
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2 * gradient * (x[i] - y[i]) / (size + 1e-12);
        store_row(call.output, r, x);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return pair_cases(true, {{}}); }

static const Kernel kernels[] = {{.name = "simd", .doc = "the size of y, then one pass", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::relative_error_gradient_kernels

namespace tailor::ops::entries {
extern const Op relative_error_gradient = {
    .name = "relative_error_gradient",
    .doc = "x, y [rows, width], gradient [rows, 1], optional targets [rows] i32 -> [rows, width]: gradient * 2 (x - y) / |y|^2",
    .least_inputs = 3,
    .most_inputs = 4,
    .shape = &relative_error_gradient_kernels::shape,
    .reference = &relative_error_gradient_kernels::reference,
    .kernels = relative_error_gradient_kernels::kernels,
    .cost = &relative_error_gradient_kernels::cost,
    .cases = &relative_error_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of the loss are not built",
};
}  // namespace tailor::ops::entries
#endif
