// Minimal gated unit gradient: what the recurrent cell with one gate hands back to its gate, candidate and recurrent weights.
//
// For f = sigmoid(x_f + R_f h), c = x_h + R_h (f h), h' = (1 - f) h + f tanh(c) with the gradient dh:
//     dc = dh f (1 - tanh(c)^2),  e = R_h^T dc,  df = dh (tanh(c) - h) + e h,  dx_f = df f (1 - f)
//     dh_old = dh (1 - f) + e f + R_f^T dx_f
// The gate comes before the second product, so the loop of the other cells does not fit; states are computed anew as there.
#include <cmath>

#include "ops/cell_gradient.h"

namespace tailor::ops::minimal_gated_unit_gradient_kernels {

constexpr std::int64_t gates = 2;

/// Numbers per row that are kept: h, f h, the gate, the candidate, and the gradients of both products.
constexpr std::int64_t kept = 6;

static std::int64_t buffer_numbers(std::int64_t rows, std::int64_t width) { return ((rows + 1) * kept + 2) * width; }

template <class Real>
struct Loop {
    const Call& call;
    std::int64_t rows, width;
    Real *h, *forgotten, *gate, *candidate, *back, *dh, *through, *dx, *dr;

    Loop(const Call& given, Real* buffers, Real* out) : call(given), rows(given.inputs[0].shape.rows()), width(given.inputs[0].shape.width() / gates) {
        const std::int64_t size = (rows + 1) * width;
        h = buffers, forgotten = h + size, gate = forgotten + size, candidate = gate + size, back = candidate + size, dh = back + 2 * size, through = dh + width;
        dx = out, dr = out + call.inputs[0].shape.elements();
    }

    void run(std::span<const std::int32_t> sequence) noexcept {
        const auto count = static_cast<std::int64_t>(sequence.size());
        std::fill_n(h, width, Real{0});
        for (std::int64_t t = 0; t < count; ++t) advance(t, call.inputs[0].row_f32(sequence[static_cast<std::size_t>(t)]));
        std::fill_n(dh, width, Real{0});
        for (std::int64_t t = count; t-- > 0;) hand_back(t, sequence[static_cast<std::size_t>(t)]);
        CellProducts::outer(call, back, 2 * width, h, width, count, 0, width, width, dr);
        CellProducts::outer(call, back + width, 2 * width, forgotten, width, count, width, width, width, dr);
    }

    void advance(std::int64_t t, const float* x) noexcept {
        Real *const now = h + t * width, *const f = gate + t * width, *const kept_h = forgotten + t * width, *const c = candidate + t * width;
        CellProducts::forward(call, now, 0, width, width, f);
        for (std::int64_t i = 0; i < width; ++i) f[i] = sigmoid(static_cast<Real>(x[i]) + f[i]), kept_h[i] = f[i] * now[i];
        CellProducts::forward(call, kept_h, width, width, width, c);
        for (std::int64_t i = 0; i < width; ++i) {
            c[i] = std::tanh(static_cast<Real>(x[width + i]) + c[i]);
            now[width + i] = (1 - f[i]) * now[i] + f[i] * c[i];
        }
    }

    void hand_back(std::int64_t t, std::int32_t row) noexcept {
        const Real *const now = h + t * width, *const f = gate + t * width, *const c = candidate + t * width;
        Real *const gate_back = back + t * 2 * width, *const candidate_back = gate_back + width;
        for (std::int64_t i = 0; i < width; ++i) {
            dh[i] += static_cast<Real>(call.inputs[3].row_f32(row)[i]);
            candidate_back[i] = dh[i] * f[i] * (1 - c[i] * c[i]);
        }
        std::fill_n(through, width, Real{0});
        CellProducts::back(call, candidate_back, width, width, width, through);
        for (std::int64_t i = 0; i < width; ++i) {
            gate_back[i] = (dh[i] * (c[i] - now[i]) + through[i] * now[i]) * f[i] * (1 - f[i]);
            dh[i] = dh[i] * (1 - f[i]) + through[i] * f[i];
            dx[row * 2 * width + i] = gate_back[i], dx[row * 2 * width + width + i] = candidate_back[i];
        }
        CellProducts::back(call, gate_back, 0, width, width, dh);
    }
};

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows();
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, rows, call.scratch);
    std::fill_n(call.output.row_f32(0), call.output.shape.elements(), 0.0f);
    Loop<float> loop(call, reinterpret_cast<float*>(call.scratch + sequence_rows_bytes(rows)), call.output.row_f32(0));
    for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> sequence) { loop.run(sequence); });
}

static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows();
    std::vector<double> buffers(static_cast<std::size_t>(buffer_numbers(rows, call.inputs[0].shape.width() / gates))), out(static_cast<std::size_t>(call.output.shape.elements()));
    std::vector<std::byte> order(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    Loop<double> loop(call, buffers.data(), out.data());
    for_each_sequence(call, rows, order.data(), [&](std::span<const std::int32_t> sequence) { loop.run(sequence); });
    std::copy(out.begin(), out.end(), call.output.row_f32(0));
}

static TensorType shape(const NodeView& node) { return cell_gradient_type(node, gates); }
static std::vector<Case> cases() { return cell_gradient_cases(gates, false); }
static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return sequence_rows_bytes(rows) + buffer_numbers(rows, node.inputs[0].shape.width() / gates) * static_cast<std::int64_t>(sizeof(float)) + 64;
}

static const Kernel kernels[] = {{.name = "rows", .doc = "states computed anew, then row by row backwards, the recurrent weights shared between threads", .run = {{&run}}}};

}  // namespace tailor::ops::minimal_gated_unit_gradient_kernels

namespace tailor::ops::entries {
extern const Op minimal_gated_unit_gradient = {
    .name = "minimal_gated_unit_gradient",
    .doc = "x [rows, 2 * width], R [2 * width, width / heads], no third input, gradient [rows, width] -> the gradients of minimal_gated_unit's x and R, one behind the other; "
           "rows are whole sequences",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &minimal_gated_unit_gradient_kernels::shape,
    .reference = &minimal_gated_unit_gradient_kernels::reference,
    .kernels = minimal_gated_unit_gradient_kernels::kernels,
    .cost = &cell_gradient_cost,
    .scratch_bytes = &minimal_gated_unit_gradient_kernels::scratch_bytes,
    .cases = &minimal_gated_unit_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
