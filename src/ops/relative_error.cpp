// Relative error of rows: how far a student's hidden state is from its teacher's, whatever the size of either.
//
//     z[r] = |x[r] - y[r]|^2 / (|y[r]|^2 + 1e-12)
// Divided by row, since a few rows (the first token of a text) are a thousand times larger than the others and would be all that a mean
// square sees. Bercovich et al., "Puzzle", 2024, section 3.2, divide the whole in the same way. y is what is to be reached; it is not trained.
#include "cpu/simd.h"
#include "ops/distillation.h"

#define TAILOR_THIS_FILE "ops/relative_error.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::relative_error_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float error_of(const float* x, const float* y, std::int64_t width) noexcept {
    Vector above = {}, below = {};
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
        const Vector v = load(y + i), difference = load(x + i) - v;
        above = fused(difference, difference, above), below = fused(v, v, below);
    }
    float error = sum(above), size = sum(below);
    for (; i < width; ++i) error += (x[i] - y[i]) * (x[i] - y[i]), size += y[i] * y[i];
    return error / (size + 1e-12f);
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.inputs[1];
    const std::int64_t rows = x.shape.rows(), width = x.shape.width(), chunk = rows_per_chunk(width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            call.output.row_f32(r)[0] = counts(call, 2, r) ? error_of(x.row_f32(r), y.row_f32(r), width) : 0.0f;
    });
}

}  // namespace tailor::ops::relative_error_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::relative_error_kernels {

static TensorType shape(const NodeView& node) {
    require_pair(node);
    require_targets(node, 2);
    return f32({node.inputs[0].shape.rows(), 1});
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r), y = row_as_double(call.inputs[1], r);
        double error = 0, size = 0;
        for (std::size_t i = 0; i < x.size(); ++i) error += (x[i] - y[i]) * (x[i] - y[i]), size += y[i] * y[i];
        store_row(call.output, r, {counts(call, 2, r) ? error / (size + 1e-12) : 0});
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 5.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return pair_cases(false, {{}}); }

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.graph.add("relative_error_gradient", {d.input(0), d.input(1), d.gradient, d.input(2)}), -1, -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "both sums in one pass", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::relative_error_kernels

namespace tailor::ops::entries {
extern const Op relative_error = {
    .name = "relative_error",
    .doc = "x, y [rows, width], optional targets [rows] i32 -> [rows, 1]: |x - y|^2 / |y|^2, 0 where the target is below 0; y is not trained",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &relative_error_kernels::shape,
    .reference = &relative_error_kernels::reference,
    .kernels = relative_error_kernels::kernels,
    .cost = &relative_error_kernels::cost,
    .cases = &relative_error_kernels::cases,
    .gradient = &relative_error_kernels::gradient,
    .tables = 1U << 1,
};
}  // namespace tailor::ops::entries
#endif
