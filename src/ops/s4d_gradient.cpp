// S4D gradient: what the diagonal state space with complex rates hands back to x, dt, A, C and D.
//
// Forwards, for every column: l = exp(dt A), b = C (l - 1) / A, h' = l h + x, y = 2 Re(sum of b h') + D x. The gradient of a complex number is
// that of its real part plus i times that of its imaginary part; then a product z = u v hands conj(v) dz back to u. With the gradient o of y:
//     g += 2 conj(b) o,   db = 2 conj(h') o,   dx = Re(sum of g) + D o,   dl = conj(h) g,   g <- conj(l) g
//     dC = conj((l - 1) / A) db,   dl += conj(C / A) db,   dA = conj(dt l) dl - conj(b / A) db,   ddt = Re(sum of conj(A l) dl)
// db and dl are sums over rows, so A, C and dt are reached once per column. States are computed anew, sqrt(rows) rows at a time. In double:
// rates are few, and 2 n products per row and column cost what the loads do. Rows are whole sequences from position 0.
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>

#include "ops/recurrence.h"
#include "ops/sequences.h"

namespace tailor::ops::s4d_gradient_kernels {

using Complex = std::complex<double>;
constexpr std::int64_t unit_columns = 8, most_state = 128;

static std::int64_t stretch_of(std::int64_t rows) noexcept { return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::sqrt(static_cast<double>(rows)))); }
static std::int64_t states_of(std::int64_t rows) noexcept { return (rows + stretch_of(rows) - 1) / stretch_of(rows) + stretch_of(rows) + 2; }

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 2, 3, 5}) require_f32(node, i);
    const core::Shape &x = node.inputs[0].shape, &a = node.inputs[2].shape;
    require(node.inputs[1].shape.elements() == x.width() && node.inputs[5].shape == x, "s4d_gradient: dt must have one value per column and the gradient the shape of x", node);
    require(a.rank() == 2 && a[0] == x.width() && a[1] % 2 == 0 && a[1] / 2 <= most_state && node.inputs[3].shape == a, "s4d_gradient: A and C must be [width, 2 * n] with n of at most 128", node);
    std::int64_t numbers = x.elements() + x.width() + 2 * a.elements();
    if (node.input(4)) require_f32(node, 4), numbers += node.inputs[4].shape.elements();
    return f32({numbers});
}

static std::int64_t units_of(std::int64_t width) { return (width + unit_columns - 1) / unit_columns; }

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return sequence_rows_bytes(rows) + units_of(node.inputs[0].shape.width()) * states_of(rows) * node.inputs[2].shape[1] / 2 * static_cast<std::int64_t>(sizeof(Complex)) + 64;
}

/// One column: its constants, and the sums over rows.
struct Column {
    const Call& call;
    std::int64_t column, state;
    double dt, skip, dskip = 0;
    Complex a[most_state], c[most_state], l[most_state], b[most_state], g[most_state], dl[most_state], db[most_state];
    float* dx;

    Column(const Call& given, std::int64_t number)
        : call(given), column(number), state(given.inputs[2].shape[1] / 2), dt(given.inputs[1].row_f32(0)[number]),
          skip(given.input(4) ? given.input(4)->row_f32(0)[number] : 0.0), dx(given.output.row_f32(0)) {
        for (std::int64_t n = 0; n < state; ++n) {
            const float *const rate = call.inputs[2].row_f32(column) + 2 * n, *const out = call.inputs[3].row_f32(column) + 2 * n;
            a[n] = {rate[0], rate[1]}, c[n] = {out[0], out[1]};
            l[n] = std::exp(dt * a[n]), b[n] = c[n] * (l[n] - 1.0) / a[n];
        }
    }
    double x(std::int32_t row) const { return call.inputs[0].row_f32(row)[column]; }

    void advance(std::int32_t row, const Complex* h, Complex* next) const {
        for (std::int64_t n = 0; n < state; ++n) next[n] = l[n] * h[n] + x(row);
    }
    void hand_back(std::int32_t row, const Complex* before, const Complex* after) {
        const double o = call.inputs[5].row_f32(row)[column];
        double input = skip * o;
        for (std::int64_t n = 0; n < state; ++n) {
            g[n] += 2 * o * std::conj(b[n]);
            db[n] += 2 * o * std::conj(after[n]);
            dl[n] += std::conj(before[n]) * g[n];
            input += g[n].real();
            g[n] = std::conj(l[n]) * g[n];
        }
        dskip += o * x(row);
        dx[row * call.inputs[0].shape.width() + column] = static_cast<float>(input);
    }

    void run(std::span<const std::int32_t> rows, std::int64_t stretch, Complex* states) {
        const std::int64_t count = static_cast<std::int64_t>(rows.size()), stretches = (count + stretch - 1) / stretch;
        Complex *const begins = states, *const within = begins + stretches * state;
        std::fill_n(begins, state, Complex());
        const auto walk = [&](std::int64_t k) {
            std::copy_n(begins + k * state, state, within);
            const std::int64_t first = k * stretch, end = std::min(count, first + stretch);
            for (std::int64_t t = first; t < end; ++t) advance(rows[static_cast<std::size_t>(t)], within + (t - first) * state, within + (t - first + 1) * state);
            return within + (end - first) * state;
        };
        for (std::int64_t k = 0; k + 1 < stretches; ++k) std::copy_n(walk(k), state, begins + (k + 1) * state);
        std::fill_n(g, state, Complex());
        for (std::int64_t k = stretches; k-- > 0;) {
            walk(k);
            for (std::int64_t t = std::min(count, (k + 1) * stretch); t-- > k * stretch;) {
                const Complex* const before = within + (t - k * stretch) * state;
                hand_back(rows[static_cast<std::size_t>(t)], before, before + state);
            }
        }
    }

    /// From the sums over rows to dt, A, C and D.
    void finish() const {
        float* const ddt = dx + call.inputs[0].shape.elements();
        float *const da = ddt + call.inputs[1].shape.elements() + column * 2 * state, *const dc = da + call.inputs[2].shape.elements();
        double step = 0;
        for (std::int64_t n = 0; n < state; ++n) {
            const Complex rate = dl[n] + std::conj(c[n] / a[n]) * db[n], to_a = std::conj(dt * l[n]) * rate - std::conj(b[n] / a[n]) * db[n], to_c = std::conj((l[n] - 1.0) / a[n]) * db[n];
            step += (std::conj(a[n] * l[n]) * rate).real();
            da[2 * n] = static_cast<float>(to_a.real()), da[2 * n + 1] = static_cast<float>(to_a.imag());
            dc[2 * n] = static_cast<float>(to_c.real()), dc[2 * n + 1] = static_cast<float>(to_c.imag());
        }
        ddt[column] = static_cast<float>(step);
        if (call.input(4)) (ddt + call.inputs[1].shape.elements() + 2 * call.inputs[2].shape.elements())[column] = static_cast<float>(dskip);
    }
};

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows(), width = call.inputs[0].shape.width(), state = call.inputs[2].shape[1] / 2;
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, rows, call.scratch);
    auto* const states = reinterpret_cast<Complex*>(call.scratch + sequence_rows_bytes(rows));
    call.pool->run(units_of(width), [&](std::int64_t u, int) {
        for (std::int64_t c = u * unit_columns; c < std::min(width, (u + 1) * unit_columns); ++c) {
            Column column(call, c);
            for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> sequence) { column.run(sequence, stretch_of(rows), states + u * states_of(rows) * state); });
            column.finish();
        }
    });
}

// The same column with every state kept: what differs is how states are come by.
static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows(), state = call.inputs[2].shape[1] / 2;
    std::vector<std::byte> order(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, rows, order.data());
    std::vector<Complex> states(static_cast<std::size_t>((rows + 3) * state));
    for (std::int64_t c = 0; c < call.inputs[0].shape.width(); ++c) {
        Column column(call, c);
        for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> sequence) { column.run(sequence, rows, states.data()); });
        column.finish();
    }
}

static Cost cost(const NodeView& node) { return recurrence_cost(node, node.inputs[2].shape.elements(), 16); }

/// Steps of a tenth, and rates that decay: real parts below -0.1.
static void confine(std::span<const core::Tensor> inputs) {
    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] = 0.1f * std::fabs(inputs[1].row_f32(0)[i]);
    for (std::int64_t i = 0; i < inputs[2].shape.elements(); i += 2) inputs[2].row_f32(0)[i] = -0.1f - std::fabs(inputs[2].row_f32(0)[i]);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [width, n] : {std::pair<std::int64_t, std::int64_t>{7, 1}, {37, 5}, {20, 128}})
        for (const std::int64_t rows : {1, 3, 60}) {
            const TensorType x = f32({rows, width}), a = f32({width, 2 * n});
            list.push_back({.inputs = {x, f32({width}), a, a, rows == 3 ? TensorType{} : f32({width}), x}, .confine = &confine});
        }
    return list;
}

static const Kernel kernels[] = {{.name = "columns", .doc = "one column after the other backwards, 8 of them by one thread", .run = {{&run}}}};

}  // namespace tailor::ops::s4d_gradient_kernels

namespace tailor::ops::entries {
extern const Op s4d_gradient = {
    .name = "s4d_gradient",
    .doc = "x [rows, width], dt [width], A, C [width, 2 n], optional D [width], gradient [rows, width] -> the gradients of s4d's inputs, one behind the other; rows are whole sequences",
    .least_inputs = 6,
    .most_inputs = 6,
    .shape = &s4d_gradient_kernels::shape,
    .reference = &s4d_gradient_kernels::reference,
    .kernels = s4d_gradient_kernels::kernels,
    .cost = &s4d_gradient_kernels::cost,
    .scratch_bytes = &s4d_gradient_kernels::scratch_bytes,
    .cases = &s4d_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
