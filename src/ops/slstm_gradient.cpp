// sLSTM gradient: what the LSTM with exponential gates hands back to its gates and recurrent weights.
//
// For c' = keep c + write g, n' = keep n + write, h = s c' / n' with g = tanh(z), s = sigmoid(o), write = e^(i - m') and
// keep = e^(log sigmoid(f) + m - m'). Every h is the same whatever the stabilizers m are, so they count as constants:
//     dc' += dh s / n',  dn' -= dh s c' / n'^2,  di = write (dc' g + dn'),  df = keep (dc' c + dn' n) (1 - sigmoid(f)),  dz = dc' write (1 - g^2)
// How rows are walked: ops/cell_gradient.h.
#include <algorithm>
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::slstm_gradient_kernels {

struct Cell {
    static constexpr std::int64_t gates = 4, memories = 3;

    /// The factors of the old memories and of what is new; m becomes the new stabilizer.
    template <class Real>
    static void weigh(Real i, Real f, Real& m, Real& keep, Real& write) {
        const Real log_keep = std::min(f, Real{0}) - std::log1p(std::exp(-std::fabs(f))), most = std::max(log_keep + m, i);
        write = std::exp(i - most), keep = std::exp(log_keep + m - most), m = most;
    }

    /// The memories are c, n and m.
    template <class Real>
    static Real forward(const Real (&x)[gates], const Real (&product)[gates], Real, Real* memory) {
        Real keep, write;
        weigh(x[0] + product[0], x[1] + product[1], memory[2], keep, write);
        memory[0] = keep * memory[0] + write * std::tanh(x[2] + product[2]);
        memory[1] = keep * memory[1] + write;
        return sigmoid(x[3] + product[3]) * memory[0] / memory[1];
    }

    template <class Real>
    static Real backward(const Real (&x)[gates], const Real (&product)[gates], const Real* before, const Real* after, Real dh, Real* dmemory, Real* dproduct, Real* dx) {
        Real keep, write, m = before[3];
        const Real f = x[1] + product[1], g = std::tanh(x[2] + product[2]), s = sigmoid(x[3] + product[3]), share = after[1] / after[2];
        weigh(x[0] + product[0], f, m, keep, write);
        const Real dc = dmemory[0] + dh * s / after[2], dn = dmemory[1] - dh * s * share / after[2];
        dmemory[0] = dc * keep, dmemory[1] = dn * keep;
        const Real gradients[gates] = {write * (dc * g + dn), keep * (dc * before[1] + dn * before[2]) * sigmoid(-f), dc * write * (1 - g * g), dh * share * s * (1 - s)};
        for (std::int64_t k = 0; k < gates; ++k) dx[k] = dproduct[k] = gradients[k];
        return 0;
    }
};

static TensorType shape(const NodeView& node) { return cell_gradient_type(node, Cell::gates); }
static std::vector<Case> cases() { return cell_gradient_cases(Cell::gates, false); }

static const Kernel kernels[] = {{.name = "rows", .doc = "states computed anew, then row by row backwards, the recurrent weights shared between threads", .run = {{&run_cell_gradient<Cell>}}}};

}  // namespace tailor::ops::slstm_gradient_kernels

namespace tailor::ops::entries {
extern const Op slstm_gradient = {
    .name = "slstm_gradient",
    .doc = "x [rows, 4 * width], R [4 * width, width / heads], no third input, gradient [rows, width] -> the gradients of slstm's x and R, one behind the other; "
           "rows are whole sequences",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &slstm_gradient_kernels::shape,
    .reference = &cell_gradient_reference<slstm_gradient_kernels::Cell>,
    .kernels = slstm_gradient_kernels::kernels,
    .cost = &cell_gradient_cost,
    .scratch_bytes = &cell_gradient_scratch_bytes<slstm_gradient_kernels::Cell>,
    .cases = &slstm_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
