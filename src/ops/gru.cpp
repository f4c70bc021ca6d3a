// GRU: the gated recurrent unit.
//
//     r, z = sigmoid(x_r + R_r h), sigmoid(x_z + R_z h),   n = tanh(x_n + r (R_n h + b)),   h = (1 - z) n + z h
// Cho et al., 2014, in the form whose reset gate comes after the product (Chung et al., 2014; cuDNN and PyTorch). The parts of x
// and R stand in the order r, z, n; b is the optional third input.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::gru_kernels {

constexpr std::int64_t gates = 3;

/// One unit's step, in the number type of the caller; the new h is returned.
template <class Real>
static Real advance(const Real (&x)[gates], const Real (&product)[gates], Real h) {
    const Real keep = sigmoid(x[1] + product[1]);
    return (1 - keep) * std::tanh(x[2] + sigmoid(x[0] + product[0]) * product[2]) + keep * h;
}

static TensorType shape(const NodeView& node) { return cell_type(node, gates); }
static std::vector<StateType> states(const NodeView& node, const StateOptions&) { return cell_states(node, gates, {"h"}); }

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    float* const products = reinterpret_cast<float*>(call.scratch);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const float *const x = call.inputs[0].row_f32(r), *const bias = call.input(2) ? call.input(2)->row_f32(0) : nullptr;
        float* const h = cell_state(call, 0, r);
        recurrent_product.at(call.isa)(call, h, 0, gates * width, width, products);
        for (std::int64_t i = 0; i < width; ++i) {
            const float given[gates] = {x[i], x[width + i], x[2 * width + i]};
            const float product[gates] = {products[i], products[width + i], products[2 * width + i] + (bias ? bias[i] : 0.0f)};
            call.output.row_f32(r)[i] = h[i] = advance(given, product, h[i]);
        }
    }
}

static void reference(const Call& call) {
    const std::int64_t width = call.output.shape.width();
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> h = reference_state(call, 0, r);
        const std::vector<double> products = reference_product(call, h, 0, gates * width), bias = call.input(2) ? row_as_double(*call.input(2), 0) : std::vector<double>(h.size());
        for (std::size_t i = 0; i < h.size(); ++i) {
            const double given[gates] = {x[i], x[h.size() + i], x[2 * h.size() + i]};
            const double product[gates] = {products[i], products[h.size() + i], products[2 * h.size() + i] + bias[i]};
            h[i] = advance(given, product, h[i]);
        }
        store_state(call, 0, r, h);
        store_row(call.output, r, h);
    }
}

static std::vector<Case> cases() { return cell_cases(gates, true); }

static std::vector<Value> gradient(const Differentiation& d) { return cell_gradients(d, "gru_gradient"); }

static const Kernel kernels[] = {{.name = "rows", .doc = "row by row, the recurrent weights shared between threads", .run = {{&run}}}};

}  // namespace tailor::ops::gru_kernels

namespace tailor::ops::entries {
extern const Op gru = {
    .name = "gru",
    .doc = "x [rows, 3 * width] of gates r z n, R [3 * width, width / heads], optional bias [width] -> [rows, width]: h = (1 - z) tanh(x_n + r (R_n h + b)) + z h",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &gru_kernels::shape,
    .reference = &gru_kernels::reference,
    .kernels = gru_kernels::kernels,
    .cost = &cell_cost,
    .states = &gru_kernels::states,
    .scratch_bytes = &cell_scratch_bytes,
    .cases = &gru_kernels::cases,
    .gradient = &gru_kernels::gradient,
};
}  // namespace tailor::ops::entries
