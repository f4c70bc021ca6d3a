// Selective scan: the state-space layer of Mamba, with a diagonal transition of its own for every column.
//
//     h_t[d][n] = exp(dt_t[d] A[d][n]) h_(t-1)[d][n] + dt_t[d] B_t[n] x_t[d],   y_t[d] = sum over n of C_t[n] h_t[d][n] + D[d] x_t[d]
// Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, equations 2 and 4 and algorithm 2 (B
// discretized by dt alone). dt comes after its softplus; A is negative. Unlike Mamba-2's scalar transition this has no matrix
// form: width x state exponentials per row bound it in any order, so both kernels are built around them. Prompts: a vector
// of columns goes down the rows, its h and A transposed in the first-level cache. One row: the state's dimension lies across
// the lanes, as in memory, and the sums of `lanes` columns are folded by one transpose.
#include <cmath>
#include <utility>

#include "cpu/simd.h"
#include "ops/gradients.h"
#include "ops/recurrence.h"
#include "ops/windows.h"

#define TAILOR_THIS_FILE "ops/selective_scan.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::selective_scan_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"
#include "ops/decay_power.h"

constexpr std::int64_t most_state = 256;
constexpr float log2_e = 1.44269504088896341f;
// Columns per unit of work: a step of 128 takes about half a microsecond.
constexpr std::int64_t unit_columns = 128;

/// What the rows of a call share: sizes and operands.
struct Scan {
    const core::Tensor &x, &dt, &a, &b, &c;
    const float* skip;
    std::int64_t width, state;
    explicit Scan(const Call& call) noexcept
        : x(call.inputs[0]), dt(call.inputs[1]), a(call.inputs[2]), b(call.inputs[3]), c(call.inputs[4]), skip(call.input(5) ? call.input(5)->row_f32(0) : nullptr),
          width(x.shape.width()), state(a.shape[1]) {}
};

[[gnu::always_inline]] inline Vector load_some(const float* p, std::int64_t count) {
    if (count >= lanes) return load(p);
    float some[lanes] = {};
    std::memcpy(some, p, static_cast<std::size_t>(count) * sizeof(float));
    return load(some);
}

[[gnu::always_inline]] inline void store_some(float* p, Vector x, std::int64_t count) {
    if (count >= lanes) return store(p, x);
    float some[lanes];
    store(some, x);
    std::memcpy(p, some, static_cast<std::size_t>(count) * sizeof(float));
}

// Rows that pass a number of the memory while it is in a register.
constexpr int rows_together = 2;
// A row is a page away from the one before, which no processor fetches by itself.
constexpr std::int64_t rows_ahead = 8;

/// R rows of one vector of columns; memory and rate: [state][lanes].
template <int R>
static void scan_rows(const Call& call, const Scan& s, float* memory, const float* rate, std::int64_t row, std::int64_t column, std::int64_t count) noexcept {
    const Vector skip = s.skip ? load_some(s.skip + column, count) : Vector{};
    Vector dt[R], input[R], y[R];
    const float *b[R], *c[R];
    for (int r = 0; r < R; ++r) {
        __builtin_prefetch(s.x.row_f32(row + r + rows_ahead) + column), __builtin_prefetch(s.dt.row_f32(row + r + rows_ahead) + column);
        __builtin_prefetch(call.output.row_f32(row + r + rows_ahead) + column, 1);
        const Vector x = load_some(s.x.row_f32(row + r) + column, count);
        dt[r] = load_some(s.dt.row_f32(row + r) + column, count), input[r] = dt[r] * x, y[r] = skip * x;
        b[r] = s.b.row_f32(row + r), c[r] = s.c.row_f32(row + r);
    }
    for (std::int64_t n = 0; n < s.state; ++n) {
        Vector now = load(memory + n * lanes);
        const Vector a = load(rate + n * lanes);
        for (int r = 0; r < R; ++r) {
            now = fused(now, decay_power(dt[r] * a), input[r] * b[r][n]);
            y[r] = fused(now, broadcast(c[r][n]), y[r]);
        }
        store(memory + n * lanes, now);
    }
    for (int r = 0; r < R; ++r) store_some(call.output.row_f32(row + r) + column, y[r], count);
}

/// One vector of columns (`count` of them) over the rows of one sequence; h: their memory [column][state].
static void scan_columns(const Call& call, const Scan& s, float* h, std::int64_t first, std::int64_t end, std::int64_t column, std::int64_t count) noexcept {
    alignas(64) float memory[most_state * lanes] = {}, rate[most_state * lanes] = {};
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t n = 0; n < s.state; ++n) {
            memory[n * lanes + i] = h[i * s.state + n];
            rate[n * lanes + i] = s.a.row_f32(column + i)[n] * log2_e;
        }
    std::int64_t r = first;
    for (; r + rows_together <= end; r += rows_together) scan_rows<rows_together>(call, s, memory, rate, r, column, count);
    for (; r < end; ++r) scan_rows<1>(call, s, memory, rate, r, column, count);
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t n = 0; n < s.state; ++n) h[i * s.state + n] = memory[n * lanes + i];
}

/// One row for `lanes` columns whose state is a whole number of vectors.
static void step_columns(const Call& call, const Scan& s, float* h, std::int64_t row, std::int64_t column) noexcept {
    Vector products[lanes];
    const float *const x = s.x.row_f32(row) + column, *const dt = s.dt.row_f32(row) + column, *const b = s.b.row_f32(row), *const c = s.c.row_f32(row);
    for (int i = 0; i < lanes; ++i) {
        const float *const rate = s.a.row_f32(column + i), step = dt[i], input = step * x[i];
        products[i] = Vector{};
        for (std::int64_t n = 0; n < s.state; n += lanes) {
            const Vector now = fused(load(h + i * s.state + n), decay_power(load(rate + n) * (step * log2_e)), load(b + n) * input);
            store(h + i * s.state + n, now);
            products[i] = fused(now, load(c + n), products[i]);
        }
    }
    transpose(products);
    Vector y = s.skip ? load(s.skip + column) * load(x) : Vector{};
    for (int i = 0; i < lanes; ++i) y += products[i];
    store(call.output.row_f32(row) + column, y);
}

static void scan_unit(const Call& call, const Scan& s, std::int64_t begin, std::int64_t stop, std::int64_t least_rows) noexcept {
    for_each_run(call.batch, s.x.shape.rows(), [&](std::int64_t sequence, std::int64_t first, std::int64_t end) {
        for (std::int64_t column = begin; column < stop; column += lanes) {
            const std::int64_t count = std::min<std::int64_t>(lanes, stop - column);
            float* const h = call.states[0].row_f32(sequence * s.width + column);
            const bool by_steps = end - first < least_rows && count == lanes && s.state % lanes == 0;
            if (!by_steps) scan_columns(call, s, h, first, end, column, count);
            for (std::int64_t r = first; by_steps && r < end; ++r) step_columns(call, s, h, r, column);
        }
    });
}

static void run(const Call& call, std::int64_t least_rows) noexcept {
    const Scan scan(call);
    call.pool->run((scan.width + unit_columns - 1) / unit_columns, [&](std::int64_t c, int) {
        scan_unit(call, scan, c * unit_columns, std::min(scan.width, (c + 1) * unit_columns), least_rows);
    });
}

// Transposing h and A there and back costs as much as about two rows.
static void run_rows(const Call& call) noexcept { run(call, 3); }
static void run_steps(const Call& call) noexcept { run(call, INT64_MAX); }

}  // namespace tailor::ops::selective_scan_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::selective_scan_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 5; ++i) require_f32(node, i);
    const std::int64_t rows = node.inputs[0].shape.rows(), width = node.inputs[0].shape.width();
    const core::Shape& a = node.inputs[2].shape;
    require(node.inputs[1].shape == node.inputs[0].shape, "selective_scan: dt must have the shape of x", node);
    require(a.rank() == 2 && a[0] == width && a[1] <= base::most_state, "selective_scan: A must be [width, state] with a state of at most 256", node);
    for (std::size_t i = 3; i < 5; ++i) require(node.inputs[i].shape == core::Shape({rows, a[1]}), "selective_scan: B and C must be [rows, state]", node);
    if (node.input(5)) require_f32(node, 5), require(node.inputs[5].shape.elements() == width, "selective_scan: D must have one value per column", node);
    return node.inputs[0];
}

static std::vector<StateType> states(const NodeView& node, const StateOptions&) {
    return {{"memory", node.inputs[2].shape, &formats::get("f32")}};
}

static void reference(const Call& call) {
    const std::int64_t width = call.inputs[0].shape.width(), state = call.inputs[2].shape[1];
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.inputs[0].shape.rows(); ++t) {
        const std::vector<double> x = row_as_double(call.inputs[0], t), dt = row_as_double(call.inputs[1], t);
        const std::vector<double> b = row_as_double(call.inputs[3], t), c = row_as_double(call.inputs[4], t);
        std::vector<double> y(x.size());
        for (std::int64_t d = 0; d < width; ++d) {
            const auto at = static_cast<std::size_t>(d);
            const std::vector<double> a = row_as_double(call.inputs[2], d);
            double* const h = memory.slot(call.batch.sequences[static_cast<std::size_t>(t)]) + d * state;
            for (std::size_t n = 0; n < a.size(); ++n) {
                h[n] = std::exp(dt[at] * a[n]) * h[n] + dt[at] * b[n] * x[at];
                y[at] += c[n] * h[n];
            }
            if (call.input(5)) y[at] += static_cast<double>(call.input(5)->row_f32(0)[d]) * x[at];
        }
        store_row(call.output, t, y);
    }
    memory.store();
}

// An exponential counts as ten operations.
static Cost cost(const NodeView& node) { return recurrence_cost(node, node.inputs[2].shape.elements(), 8); }

/// Positive steps and negative A.
static void confine(std::span<const core::Tensor> inputs) {
    make_negative(inputs[2]);
    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] = 0.2f * std::fabs(inputs[1].row_f32(0)[i]);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [width, state] : {std::pair<std::int64_t, std::int64_t>{7, 1}, {37, 5}, {130, 16}, {64, 32}, {20, 256}})
        for (const std::int64_t rows : {1, 2, 3, 70})
            for (const std::int64_t past : {0, 19})
                list.push_back({.inputs = {f32({rows, width}), f32({rows, width}), f32({width, state}), f32({rows, state}), f32({rows, state}),
                                           past ? f32({width}) : TensorType{}},
                                .past = past, .confine = &confine});
    return list;
}

static std::string declines_one_row(const NodeView& node) { return node.inputs[0].shape.rows() > 2 ? "" : "made for 3 rows or more"; }

static std::vector<Value> gradient(const Differentiation& d) {
    return parts(d, d.graph.add("selective_scan_gradient", {d.input(0), d.input(1), d.input(2), d.input(3), d.input(4), d.input(5), d.gradient}), {0, 1, 2, 3, 4, 5});
}

static const Kernel kernels[] = {
    {.name = "columns", .doc = "a vector of columns down the rows, memory and rates transposed in cache", .version = 3, .run = TAILOR_EACH_ISA(run_rows), .declines = &declines_one_row},
    {.name = "steps", .doc = "row by row with the state's dimension across the lanes", .version = 2, .run = TAILOR_EACH_ISA(run_steps)},
};

}  // namespace tailor::ops::selective_scan_kernels

namespace tailor::ops::entries {
extern const Op selective_scan = {
    .name = "selective_scan",
    .doc = "x, dt [rows, width], A [width, n], B, C [rows, n], optional D [width] -> [rows, width]: h = exp(dt A) h + dt B x, y = h C + D x",
    .least_inputs = 5,
    .most_inputs = 6,
    .shape = &selective_scan_kernels::shape,
    .reference = &selective_scan_kernels::reference,
    .kernels = selective_scan_kernels::kernels,
    .cost = &selective_scan_kernels::cost,
    .states = &selective_scan_kernels::states,
    .cases = &selective_scan_kernels::cases,
    .gradient = &selective_scan_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
