// LSTM: long short-term memory.
//
//     i, f, o = sigmoid(x_i + R_i h), sigmoid(x_f + R_f h), sigmoid(x_o + R_o h),   g = tanh(x_g + R_g h)
//     c = f c + i g,   h = o tanh(c)
// Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000. The parts of x and R stand in the order i, f, g, o.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::lstm_kernels {

constexpr std::int64_t gates = 4;

/// One unit's step, in the number type of the caller; c is updated, the new h returned.
template <class Real>
static Real advance(const Real (&gate)[gates], Real& c) {
    c = sigmoid(gate[1]) * c + sigmoid(gate[0]) * std::tanh(gate[2]);
    return sigmoid(gate[3]) * std::tanh(c);
}

static TensorType shape(const NodeView& node) { return cell_type(node, gates); }
static std::vector<StateType> states(const NodeView& node, const StateOptions&) { return cell_states(node, gates, {"h", "c"}); }

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    float* const products = reinterpret_cast<float*>(call.scratch);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const float* const x = call.inputs[0].row_f32(r);
        float *const h = cell_state(call, 0, r), *const c = cell_state(call, 1, r);
        recurrent_product.at(call.isa)(call, h, 0, gates * width, width, products);
        for (std::int64_t i = 0; i < width; ++i) {
            float gate[gates];
            for (std::int64_t g = 0; g < gates; ++g) gate[g] = x[g * width + i] + products[g * width + i];
            call.output.row_f32(r)[i] = h[i] = advance(gate, c[i]);
        }
    }
}

static void reference(const Call& call) {
    const std::int64_t width = call.output.shape.width();
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> h = reference_state(call, 0, r), c = reference_state(call, 1, r);
        const std::vector<double> products = reference_product(call, h, 0, gates * width);
        for (std::size_t i = 0; i < h.size(); ++i) {
            double gate[gates];
            for (std::size_t g = 0; g < gates; ++g) gate[g] = x[g * h.size() + i] + products[g * h.size() + i];
            h[i] = advance(gate, c[i]);
        }
        store_state(call, 0, r, h), store_state(call, 1, r, c);
        store_row(call.output, r, h);
    }
}

static std::vector<Case> cases() { return cell_cases(gates, false); }

static std::vector<Value> gradient(const Differentiation& d) { return cell_gradients(d, "lstm_gradient"); }

static const Kernel kernels[] = {{.name = "rows", .doc = "row by row, the recurrent weights shared between threads", .run = {{&run}}}};

}  // namespace tailor::ops::lstm_kernels

namespace tailor::ops::entries {
extern const Op lstm = {
    .name = "lstm",
    .doc = "x [rows, 4 * width] of gates i f g o, R [4 * width, width / heads] -> [rows, width]: c = f c + i g, h = o tanh(c)",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &lstm_kernels::shape,
    .reference = &lstm_kernels::reference,
    .kernels = lstm_kernels::kernels,
    .cost = &cell_cost,
    .states = &lstm_kernels::states,
    .scratch_bytes = &cell_scratch_bytes,
    .cases = &lstm_kernels::cases,
    .gradient = &lstm_kernels::gradient,
};
}  // namespace tailor::ops::entries
