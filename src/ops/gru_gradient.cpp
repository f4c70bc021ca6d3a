// GRU gradient: what the gated recurrent unit hands back to its gates, recurrent weights and bias.
//
// For n = tanh(x_n + r p), p = R_n h + b, and h' = (1 - z) n + z h with the gradient dh:
//     dn = dh (1 - z),  dz = dh (h - n),  dp = dn (1 - n^2) r,  dr = dn (1 - n^2) p,  and z dh goes straight to the old h.
// How rows are walked: ops/cell_gradient.h.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::gru_gradient_kernels {

struct Cell {
    static constexpr std::int64_t gates = 3, memories = 0;

    template <class Real>
    static Real forward(const Real (&x)[gates], const Real (&product)[gates], Real h, Real*) {
        const Real keep = sigmoid(x[1] + product[1]);
        return (1 - keep) * std::tanh(x[2] + sigmoid(x[0] + product[0]) * product[2]) + keep * h;
    }

    template <class Real>
    static Real backward(const Real (&x)[gates], const Real (&product)[gates], const Real* before, const Real*, Real dh, Real*, Real* dproduct, Real* dx) {
        const Real r = sigmoid(x[0] + product[0]), z = sigmoid(x[1] + product[1]), n = std::tanh(x[2] + r * product[2]);
        dx[2] = dh * (1 - z) * (1 - n * n);
        dproduct[2] = dx[2] * r;
        dx[0] = dproduct[0] = dx[2] * product[2] * r * (1 - r);
        dx[1] = dproduct[1] = dh * (before[0] - n) * z * (1 - z);
        return dh * z;
    }
};

static TensorType shape(const NodeView& node) { return cell_gradient_type(node, Cell::gates); }
static std::vector<Case> cases() { return cell_gradient_cases(Cell::gates, true); }

static const Kernel kernels[] = {{.name = "rows", .doc = "states computed anew, then row by row backwards, the recurrent weights shared between threads", .run = {{&run_cell_gradient<Cell>}}}};

}  // namespace tailor::ops::gru_gradient_kernels

namespace tailor::ops::entries {
extern const Op gru_gradient = {
    .name = "gru_gradient",
    .doc = "x [rows, 3 * width], R [3 * width, width / heads], optional bias [width], gradient [rows, width] -> the gradients of gru's x, R and bias, one behind the other; "
           "rows are whole sequences",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &gru_gradient_kernels::shape,
    .reference = &cell_gradient_reference<gru_gradient_kernels::Cell>,
    .kernels = gru_gradient_kernels::kernels,
    .cost = &cell_gradient_cost,
    .scratch_bytes = &cell_gradient_scratch_bytes<gru_gradient_kernels::Cell>,
    .cases = &gru_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
