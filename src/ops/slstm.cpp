// sLSTM: the LSTM of xLSTM with an exponential input gate, a normalizer and a stabilizer.
//
//     m' = max(log sigmoid(f) + m, i),   i' = exp(i - m'),   f' = exp(log sigmoid(f) + m - m')
//     c = f' c + i' tanh(z),   n = f' n + i',   h = sigmoid(o) c / n
// with i, f, z, o = x + R h. Beck et al., "xLSTM: Extended Long Short-Term Memory", 2024, equations 8 to 17, with the sigmoid form of
// the forget gate. m only keeps the exponentials in range: c / n does not depend on it. The parts of x and R stand in that order.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::slstm_kernels {

constexpr std::int64_t gates = 4;

/// One unit's step, in the number type of the caller; c, n and m are updated, the new h returned.
template <class Real>
static Real advance(const Real (&gate)[gates], Real& c, Real& n, Real& m) {
    // log sigmoid(f) = min(f, 0) - log(1 + e^-|f|)
    const Real log_keep = std::min(gate[1], Real{0}) - std::log1p(std::exp(-std::fabs(gate[1])));
    const Real most = std::max(log_keep + m, gate[0]), write = std::exp(gate[0] - most), keep = std::exp(log_keep + m - most);
    m = most;
    c = keep * c + write * std::tanh(gate[2]);
    n = keep * n + write;
    return c / n / (1 + std::exp(-gate[3]));
}

static TensorType shape(const NodeView& node) { return cell_type(node, gates); }
static std::vector<StateType> states(const NodeView& node, const StateOptions&) { return cell_states(node, gates, {"h", "c", "n", "m"}); }

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    float* const products = reinterpret_cast<float*>(call.scratch);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const float* const x = call.inputs[0].row_f32(r);
        float *const h = cell_state(call, 0, r), *const c = cell_state(call, 1, r), *const n = cell_state(call, 2, r), *const m = cell_state(call, 3, r);
        recurrent_product.at(call.isa)(call, h, 0, gates * width, width, products);
        for (std::int64_t i = 0; i < width; ++i) {
            float gate[gates];
            for (std::int64_t g = 0; g < gates; ++g) gate[g] = x[g * width + i] + products[g * width + i];
            call.output.row_f32(r)[i] = h[i] = advance(gate, c[i], n[i], m[i]);
        }
    }
}

static void reference(const Call& call) {
    const std::int64_t width = call.output.shape.width();
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> h = reference_state(call, 0, r), c = reference_state(call, 1, r), n = reference_state(call, 2, r), m = reference_state(call, 3, r);
        const std::vector<double> products = reference_product(call, h, 0, gates * width);
        for (std::size_t i = 0; i < h.size(); ++i) {
            double gate[gates];
            for (std::size_t g = 0; g < gates; ++g) gate[g] = x[g * h.size() + i] + products[g * h.size() + i];
            h[i] = advance(gate, c[i], n[i], m[i]);
        }
        store_state(call, 0, r, h), store_state(call, 1, r, c), store_state(call, 2, r, n), store_state(call, 3, r, m);
        store_row(call.output, r, h);
    }
}

static std::vector<Case> cases() { return cell_cases(gates, false); }

static std::vector<Value> gradient(const Differentiation& d) { return cell_gradients(d, "slstm_gradient"); }

static const Kernel kernels[] = {{.name = "rows", .doc = "row by row, the recurrent weights shared between threads", .run = {{&run}}}};

}  // namespace tailor::ops::slstm_kernels

namespace tailor::ops::entries {
extern const Op slstm = {
    .name = "slstm",
    .doc = "x [rows, 4 * width] of gates i f z o, R [4 * width, width / heads] -> [rows, width]: c = f c + exp(i) tanh(z), n = f n + exp(i), h = sigmoid(o) c / n",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &slstm_kernels::shape,
    .reference = &slstm_kernels::reference,
    .kernels = slstm_kernels::kernels,
    .cost = &cell_cost,
    .states = &slstm_kernels::states,
    .scratch_bytes = &cell_scratch_bytes,
    .cases = &slstm_kernels::cases,
    .gradient = &slstm_kernels::gradient,
};
}  // namespace tailor::ops::entries
