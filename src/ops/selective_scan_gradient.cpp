// Selective scan gradient: what Mamba's state-space layer hands back to x, dt, A, B, C and D.
//
// For every column d and dimension n of the state, h' = p h + dt B x with p = exp(dt A), y = sum over n of C h' + D x, and the gradients
// o of y and g of h':
//     g += C o,   dC = o h',   dx = D o + sum of g dt B,   dB = g dt x,   ddt = sum of g (h p A + B x),   dA = g h p dt,   g <- p g
// A column goes backwards through a sequence with its states computed anew, sqrt(rows) rows at a time. B and C belong to all columns: every
// unit of 64 columns sums its own part of their gradients, and the parts are added in order. Rows are whole sequences from position 0.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#include "ops/recurrence.h"
#include "ops/sequences.h"

#define TAILOR_THIS_FILE "ops/selective_scan_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::selective_scan_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

constexpr std::int64_t unit_columns = 64, padding = 16, most_state = 256;
constexpr std::int64_t round_up(std::int64_t count) { return (count + padding - 1) / padding * padding; }
static std::int64_t stretch_of(std::int64_t rows) noexcept { return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::sqrt(static_cast<double>(rows)))); }

/// The sizes of a call, and how scratch is used.
struct Sizes {
    std::int64_t rows, width, state, padded, units;

    Sizes(std::int64_t row_count, std::int64_t columns, std::int64_t dimensions)
        : rows(row_count), width(columns), state(dimensions), padded(round_up(dimensions)), units((columns + unit_columns - 1) / unit_columns) {}
    explicit Sizes(const Call& call) : Sizes(call.inputs[0].shape.rows(), call.inputs[0].shape.width(), call.inputs[2].shape[1]) {}

    std::int64_t states() const { return (rows + stretch_of(rows) - 1) / stretch_of(rows) + stretch_of(rows) + 2; }
    /// Of a unit: its parts of the gradients of B and C, and the states of one column.
    std::int64_t unit_numbers() const { return (2 * rows + states()) * padded; }
    /// Behind B and C with rows filled up with zeros.
    std::int64_t numbers() const { return 2 * rows * padded + units * unit_numbers(); }
};

/// Where the results of a call begin.
struct Results {
    float *x, *dt, *a, *b, *c, *d;
    explicit Results(const Call& call)
        : x(call.output.row_f32(0)), dt(x + call.inputs[0].shape.elements()), a(dt + call.inputs[0].shape.elements()), b(a + call.inputs[2].shape.elements()),
          c(b + call.inputs[3].shape.elements()), d(c + call.inputs[4].shape.elements()) {}
};

/// One column: its rates (filled up with zeros), and what it adds to.
struct Column {
    const Call& call;
    const Sizes& sizes;
    const float *b, *c;  ///< [rows][padded]
    std::int64_t column;
    float *db, *dc, *states;
    float rate[most_state + padding], da[most_state + padding], g[most_state + padding];
    float skip, dskip;

    float x(std::int64_t row) const { return call.inputs[0].row_f32(row)[column]; }
    float dt(std::int64_t row) const { return call.inputs[1].row_f32(row)[column]; }
};

static void advance(const Column& s, std::int64_t row, const float* h, float* next) noexcept {
    const float dt = s.dt(row), input = dt * s.x(row);
    const float* const b = s.b + row * s.sizes.padded;
    for (std::int64_t n = 0; n < s.sizes.padded; n += lanes) store(next + n, fused(load(h + n), exponential(load(s.rate + n) * dt), load(b + n) * input));
}

static void hand_back(Column& s, const Results& results, std::int64_t row, const float* before, const float* after) noexcept {
    const float x = s.x(row), dt = s.dt(row), o = s.call.inputs[6].row_f32(row)[s.column];
    const float *const b = s.b + row * s.sizes.padded, *const c = s.c + row * s.sizes.padded;
    float *const db = s.db + row * s.sizes.padded, *const dc = s.dc + row * s.sizes.padded;
    Vector inputs = {}, steps = {};
    for (std::int64_t n = 0; n < s.sizes.padded; n += lanes) {
        const Vector rate = load(s.rate + n), power = exponential(rate * dt), g = fused(load(c + n), broadcast(o), load(s.g + n)), kept = g * load(before + n) * power;
        store(dc + n, fused(load(after + n), broadcast(o), load(dc + n)));
        store(db + n, fused(g, broadcast(dt * x), load(db + n)));
        store(s.da + n, fused(kept, broadcast(dt), load(s.da + n)));
        inputs = fused(g, load(b + n), inputs);
        steps = fused(kept, rate, steps);
        store(s.g + n, g * power);
    }
    const float input = sum(inputs);
    results.x[row * s.sizes.width + s.column] = dt * input + s.skip * o;
    results.dt[row * s.sizes.width + s.column] = sum(steps) + x * input;
    s.dskip += o * x;
}

static void run_sequence(Column& s, const Results& results, std::span<const std::int32_t> rows) noexcept {
    const std::int64_t size = s.sizes.padded, count = static_cast<std::int64_t>(rows.size()), stretch = stretch_of(s.sizes.rows), stretches = (count + stretch - 1) / stretch;
    float *const begins = s.states, *const within = begins + stretches * size;
    const auto bytes = static_cast<std::size_t>(size) * sizeof(float);
    std::memset(begins, 0, bytes);
    const auto walk = [&](std::int64_t k) {
        std::memcpy(within, begins + k * size, bytes);
        const std::int64_t first = k * stretch, end = std::min(count, first + stretch);
        for (std::int64_t t = first; t < end; ++t) advance(s, rows[static_cast<std::size_t>(t)], within + (t - first) * size, within + (t - first + 1) * size);
        return within + (end - first) * size;
    };
    for (std::int64_t k = 0; k + 1 < stretches; ++k) std::memcpy(begins + (k + 1) * size, walk(k), bytes);
    std::memset(s.g, 0, sizeof s.g);
    for (std::int64_t k = stretches; k-- > 0;) {
        walk(k);
        for (std::int64_t t = std::min(count, (k + 1) * stretch); t-- > k * stretch;) {
            const float* const before = within + (t - k * stretch) * size;
            hand_back(s, results, rows[static_cast<std::size_t>(t)], before, before + size);
        }
    }
}

static void run_unit(const Call& call, const Sizes& sizes, const Results& results, std::span<const std::int32_t> sorted, std::int64_t unit, const float* b, const float* c, float* buffer) noexcept {
    std::memset(buffer, 0, static_cast<std::size_t>(2 * sizes.rows * sizes.padded) * sizeof(float));
    float* const dc = buffer + sizes.rows * sizes.padded;
    for (std::int64_t column = unit * unit_columns; column < std::min(sizes.width, (unit + 1) * unit_columns); ++column) {
        Column s{call, sizes, b, c, column, buffer, dc, dc + sizes.rows * sizes.padded, {}, {}, {}, call.input(5) ? call.input(5)->row_f32(0)[column] : 0.0f, 0.0f};
        std::copy_n(call.inputs[2].row_f32(column), sizes.state, s.rate);
        for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> rows) { run_sequence(s, results, rows); });
        std::copy_n(s.da, sizes.state, results.a + column * sizes.state);
        if (call.input(5)) results.d[column] = s.dskip;
    }
}

static void run(const Call& call) noexcept {
    const Sizes sizes(call);
    const Results results(call);
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, sizes.rows, call.scratch);
    auto* const b = reinterpret_cast<float*>(call.scratch + sequence_rows_bytes(sizes.rows));
    float *const c = b + sizes.rows * sizes.padded, *const buffers = c + sizes.rows * sizes.padded;
    std::memset(b, 0, static_cast<std::size_t>(2 * sizes.rows * sizes.padded) * sizeof(float));
    for (std::int64_t r = 0; r < sizes.rows; ++r) {
        std::copy_n(call.inputs[3].row_f32(r), sizes.state, b + r * sizes.padded);
        std::copy_n(call.inputs[4].row_f32(r), sizes.state, c + r * sizes.padded);
    }
    call.pool->run(sizes.units, [&](std::int64_t u, int) { run_unit(call, sizes, results, sorted, u, b, c, buffers + u * sizes.unit_numbers()); });
    call.pool->run(sizes.rows, [&](std::int64_t r, int) {
        for (int which = 0; which < 2; ++which) {
            float* const to = (which ? results.c : results.b) + r * sizes.state;
            std::fill_n(to, sizes.state, 0.0f);
            for (std::int64_t u = 0; u < sizes.units; ++u) {
                const float* const part = buffers + u * sizes.unit_numbers() + (which * sizes.rows + r) * sizes.padded;
                for (std::int64_t n = 0; n < sizes.state; ++n) to[n] += part[n];
            }
        }
    });
}

}  // namespace tailor::ops::selective_scan_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::selective_scan_gradient_kernels {

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 2, 3, 4, 6}) require_f32(node, i);
    const core::Shape &x = node.inputs[0].shape, &a = node.inputs[2].shape;
    require(node.inputs[1].shape == x && node.inputs[6].shape == x, "selective_scan_gradient: dt and the gradient must have the shape of x", node);
    require(a.rank() == 2 && a[0] == x.width() && a[1] <= base::most_state, "selective_scan_gradient: A must be [width, state] with a state of at most 256", node);
    for (const std::size_t i : {3, 4}) require(node.inputs[i].shape == core::Shape({x.rows(), a[1]}), "selective_scan_gradient: B and C must be [rows, state]", node);
    std::int64_t numbers = 2 * x.elements() + a.elements() + 2 * x.rows() * a[1];
    if (node.input(5)) require_f32(node, 5), numbers += node.inputs[5].shape.elements();
    return f32({numbers});
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const base::Sizes sizes(node.inputs[0].shape.rows(), node.inputs[0].shape.width(), node.inputs[2].shape[1]);
    return sequence_rows_bytes(sizes.rows) + sizes.numbers() * static_cast<std::int64_t>(sizeof(float)) + 64;
}

/// The results in double, as the output has them.
struct InDouble {
    std::vector<double> x, dt, a, b, c, d;
};

static void reference_column(const Call& call, std::span<const std::int32_t> rows, std::int64_t column, InDouble& out) {
    const auto width = static_cast<std::size_t>(call.inputs[0].shape.width()), state = static_cast<std::size_t>(call.inputs[2].shape[1]), at = static_cast<std::size_t>(column);
    const std::vector<double> a = row_as_double(call.inputs[2], column);
    const auto number = [&](std::size_t input, std::int32_t row, std::int64_t i) { return static_cast<double>(call.inputs[input].row_f32(row)[i]); };
    std::vector<std::vector<double>> h{std::vector<double>(state)};
    for (const std::int32_t row : rows) {
        const double dt = number(1, row, column), x = number(0, row, column);
        std::vector<double> next(state);
        for (std::size_t n = 0; n < state; ++n) next[n] = std::exp(dt * a[n]) * h.back()[n] + dt * number(3, row, static_cast<std::int64_t>(n)) * x;
        h.push_back(next);
    }
    std::vector<double> g(state);
    for (std::size_t t = rows.size(); t-- > 0;) {
        const std::int32_t row = rows[t];
        const auto r = static_cast<std::size_t>(row);
        const double dt = number(1, row, column), x = number(0, row, column), o = number(6, row, column);
        for (std::size_t n = 0; n < state; ++n) {
            const double b = number(3, row, static_cast<std::int64_t>(n)), power = std::exp(dt * a[n]);
            g[n] += number(4, row, static_cast<std::int64_t>(n)) * o;
            out.c[r * state + n] += o * h[t + 1][n];
            out.b[r * state + n] += g[n] * dt * x;
            out.a[at * state + n] += g[n] * h[t][n] * power * dt;
            out.x[r * width + at] += g[n] * dt * b;
            out.dt[r * width + at] += g[n] * (h[t][n] * power * a[n] + b * x);
            g[n] *= power;
        }
        if (!call.input(5)) continue;
        out.x[r * width + at] += o * static_cast<double>(call.input(5)->row_f32(0)[column]);
        out.d[at] += o * x;
    }
}

static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows(), width = call.inputs[0].shape.width(), state = call.inputs[2].shape[1];
    const auto zeros = [](std::int64_t count) { return std::vector<double>(static_cast<std::size_t>(count)); };
    InDouble out{zeros(rows * width), zeros(rows * width), zeros(width * state), zeros(rows * state), zeros(rows * state), zeros(call.input(5) ? width : 0)};
    std::vector<std::byte> scratch(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    for_each_sequence(call, rows, scratch.data(), [&](std::span<const std::int32_t> sequence) {
        for (std::int64_t column = 0; column < width; ++column) reference_column(call, sequence, column, out);
    });
    float* to = call.output.row_f32(0);
    for (const auto* part : {&out.x, &out.dt, &out.a, &out.b, &out.c, &out.d}) to = std::copy(part->begin(), part->end(), to);
}

static Cost cost(const NodeView& node) { return recurrence_cost(node, node.inputs[2].shape.elements(), 20); }

/// Positive steps and negative A.
static void confine(std::span<const core::Tensor> inputs) {
    make_negative(inputs[2]);
    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] = 0.2f * std::fabs(inputs[1].row_f32(0)[i]);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [width, state] : {std::pair<std::int64_t, std::int64_t>{7, 1}, {37, 5}, {130, 16}, {20, 256}})
        for (const std::int64_t rows : {1, 2, 50}) {
            const TensorType x = f32({rows, width}), b = f32({rows, state});
            list.push_back({.inputs = {x, x, f32({width, state}), b, b, rows == 2 ? TensorType{} : f32({width}), x}, .tolerance = 1e-4, .confine = &confine});
        }
    return list;
}

static const Kernel kernels[] = {{.name = "columns", .doc = "one column after the other backwards, 64 of them by one thread", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::selective_scan_gradient_kernels

namespace tailor::ops::entries {
extern const Op selective_scan_gradient = {
    .name = "selective_scan_gradient",
    .doc = "x, dt [rows, width], A [width, n], B, C [rows, n], optional D [width], gradient [rows, width] -> the gradients of selective_scan's inputs, one behind the other; "
           "rows are whole sequences",
    .least_inputs = 7,
    .most_inputs = 7,
    .shape = &selective_scan_gradient_kernels::shape,
    .reference = &selective_scan_gradient_kernels::reference,
    .kernels = selective_scan_gradient_kernels::kernels,
    .cost = &selective_scan_gradient_kernels::cost,
    .scratch_bytes = &selective_scan_gradient_kernels::scratch_bytes,
    .cases = &selective_scan_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
#endif
