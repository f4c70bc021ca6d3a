// Minimal gated unit: a recurrent cell with one gate.
//
//     f = sigmoid(x_f + R_f h),   h = (1 - f) h + f tanh(x_h + R_h (f h))
// Zhou et al., "Minimal Gated Unit for Recurrent Neural Networks", 2016, equations 6. The gate comes before the second product, so a row
// takes two products one after the other. The parts of x and R stand in the order f, h.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::minimal_gated_unit_kernels {

constexpr std::int64_t gates = 2;

/// One unit's step, in the number type of the caller; the new h is returned.
template <class Real>
static Real advance(Real f, Real candidate, Real h) {
    return (1 - f) * h + f * std::tanh(candidate);
}

static TensorType shape(const NodeView& node) { return cell_type(node, gates); }
static std::vector<StateType> states(const NodeView& node, const StateOptions&) { return cell_states(node, gates, {"h"}); }

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    float* const products = reinterpret_cast<float*>(call.scratch);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const float* const x = call.inputs[0].row_f32(r);
        float *const h = cell_state(call, 0, r), *const f = products + 2 * width, *const kept = f + width;
        recurrent_product.at(call.isa)(call, h, 0, width, width, products);
        for (std::int64_t i = 0; i < width; ++i) f[i] = sigmoid(x[i] + products[i]), kept[i] = f[i] * h[i];
        recurrent_product.at(call.isa)(call, kept, width, width, width, products);
        for (std::int64_t i = 0; i < width; ++i) call.output.row_f32(r)[i] = h[i] = advance(f[i], x[width + i] + products[i], h[i]);
    }
}

static void reference(const Call& call) {
    const std::int64_t width = call.output.shape.width();
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> h = reference_state(call, 0, r), f = reference_product(call, h, 0, width), kept(h);
        for (std::size_t i = 0; i < h.size(); ++i) f[i] = sigmoid(x[i] + f[i]), kept[i] = f[i] * h[i];
        const std::vector<double> products = reference_product(call, kept, width, width);
        for (std::size_t i = 0; i < h.size(); ++i) h[i] = advance(f[i], x[h.size() + i] + products[i], h[i]);
        store_state(call, 0, r, h);
        store_row(call.output, r, h);
    }
}

static std::vector<Case> cases() { return cell_cases(gates, false); }

static std::vector<Value> gradient(const Differentiation& d) { return cell_gradients(d, "minimal_gated_unit_gradient"); }

static const Kernel kernels[] = {{.name = "rows", .doc = "row by row, the recurrent weights shared between threads", .run = {{&run}}}};

}  // namespace tailor::ops::minimal_gated_unit_kernels

namespace tailor::ops::entries {
extern const Op minimal_gated_unit = {
    .name = "minimal_gated_unit",
    .doc = "x [rows, 2 * width] of gates f h, R [2 * width, width / heads] -> [rows, width]: h = (1 - f) h + f tanh(x_h + R_h (f h))",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &minimal_gated_unit_kernels::shape,
    .reference = &minimal_gated_unit_kernels::reference,
    .kernels = minimal_gated_unit_kernels::kernels,
    .cost = &cell_cost,
    .states = &minimal_gated_unit_kernels::states,
    .scratch_bytes = &cell_scratch_bytes,
    .cases = &minimal_gated_unit_kernels::cases,
    .gradient = &minimal_gated_unit_kernels::gradient,
};
}  // namespace tailor::ops::entries
