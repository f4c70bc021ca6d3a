// LSTM gradient: what long short-term memory hands back to its gates and recurrent weights.
//
// For c' = f c + i g and h = o tanh(c') with the gradients dh and dc':
//     dc' += dh o (1 - tanh(c')^2),  do = dh tanh(c'),  di = dc' g,  dg = dc' i,  df = dc' c,  dc = dc' f
// and each through its sigmoid or tanh to the sum of x and the recurrent product.
// How rows are walked: ops/cell_gradient.h.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::lstm_gradient_kernels {

struct Cell {
    static constexpr std::int64_t gates = 4, memories = 1;

    template <class Real>
    static Real forward(const Real (&x)[gates], const Real (&product)[gates], Real, Real* memory) {
        memory[0] = sigmoid(x[1] + product[1]) * memory[0] + sigmoid(x[0] + product[0]) * std::tanh(x[2] + product[2]);
        return sigmoid(x[3] + product[3]) * std::tanh(memory[0]);
    }

    template <class Real>
    static Real backward(const Real (&x)[gates], const Real (&product)[gates], const Real* before, const Real* after, Real dh, Real* dmemory, Real* dproduct, Real* dx) {
        const Real i = sigmoid(x[0] + product[0]), f = sigmoid(x[1] + product[1]), g = std::tanh(x[2] + product[2]), o = sigmoid(x[3] + product[3]);
        const Real seen = std::tanh(after[1]), dc = dmemory[0] + dh * o * (1 - seen * seen);
        dmemory[0] = dc * f;
        const Real gradients[gates] = {dc * g * i * (1 - i), dc * before[1] * f * (1 - f), dc * i * (1 - g * g), dh * seen * o * (1 - o)};
        for (std::int64_t k = 0; k < gates; ++k) dx[k] = dproduct[k] = gradients[k];
        return 0;
    }
};

static TensorType shape(const NodeView& node) { return cell_gradient_type(node, Cell::gates); }
static std::vector<Case> cases() { return cell_gradient_cases(Cell::gates, false); }

static const Kernel kernels[] = {{.name = "rows", .doc = "states computed anew, then row by row backwards, the recurrent weights shared between threads", .run = {{&run_cell_gradient<Cell>}}}};

}  // namespace tailor::ops::lstm_gradient_kernels

namespace tailor::ops::entries {
extern const Op lstm_gradient = {
    .name = "lstm_gradient",
    .doc = "x [rows, 4 * width], R [4 * width, width / heads], no third input, gradient [rows, width] -> the gradients of lstm's x and R, one behind the other; "
           "rows are whole sequences",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &lstm_gradient_kernels::shape,
    .reference = &cell_gradient_reference<lstm_gradient_kernels::Cell>,
    .kernels = lstm_gradient_kernels::kernels,
    .cost = &cell_gradient_cost,
    .scratch_bytes = &cell_gradient_scratch_bytes<lstm_gradient_kernels::Cell>,
    .cases = &lstm_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
