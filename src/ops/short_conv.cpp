// Short convolution: each column's weighted sum of its last few values.
//
//     y[t][c] = bias[c] + sum over j < taps of weight[c][j] x[t - taps + 1 + j][c]
// with zeros before the sequence begins. A causal depthwise convolution as in Mamba (Gu and Dao, 2023, section 3.4), the delta
// networks and LFM2's gated layers. The state is a window of the last taps - 1 rows. Rows are independent of each other once
// the window is known, so a prompt is cut by rows and by columns. Within a piece four rows pass at a time, vector after vector, as they lie in
// memory, and the weights wait in the first-level cache. Few rows, as in decoding, go down one vector of columns after the other
// with its weights and its history in registers.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/gradients.h"
#include "ops/windows.h"

#define TAILOR_THIS_FILE "ops/short_conv.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::short_conv_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

constexpr std::int64_t most_taps = 32;
// 1024 columns of one row take about half a microsecond, below which a second thread does not pay. Weights of four taps are then 16 KB.
constexpr std::int64_t piece_rows = 64, piece_columns = 1024;
// Rows that pass together: four share seven loads of rows and four of weights. From so many on laying out the weights pays.
constexpr int rows_together = 4;
constexpr std::int64_t least_passing_rows = 8;

/// Lane i of tap j: weight[i][j] of the `count` columns from `weight` on.
static void load_taps(const float* weight, std::int64_t taps, std::int64_t count, float* to) noexcept {
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t j = 0; j < taps; ++j) to[j * lanes + i] = weight[i * taps + j];
}

template <int... L>
[[gnu::always_inline]] inline Vector even_lanes(Vector a, Vector b, std::integer_sequence<int, L...>) { return __builtin_shufflevector(a, b, (2 * L)...); }
template <int... L>
[[gnu::always_inline]] inline Vector odd_lanes(Vector a, Vector b, std::integer_sequence<int, L...>) { return __builtin_shufflevector(a, b, (2 * L + 1)...); }

/// The same for four taps and whole vectors, without memory.
[[gnu::always_inline]] inline void load_four_taps(const float* weight, Vector (&taps)[4]) {
    constexpr auto each = std::make_integer_sequence<int, lanes>{};
    const Vector a = load(weight), b = load(weight + lanes), c = load(weight + 2 * lanes), d = load(weight + 3 * lanes);
    const Vector first = even_lanes(a, b, each), second = even_lanes(c, d, each), third = odd_lanes(a, b, each), fourth = odd_lanes(c, d, each);
    taps[0] = even_lanes(first, second, each), taps[2] = odd_lanes(first, second, each);
    taps[1] = even_lanes(third, fourth, each), taps[3] = odd_lanes(third, fourth, each);
}

/// The weights of the columns from `column` on, one vector per tap.
template <int Taps>
[[gnu::always_inline]] inline void load_weights(const Call& call, std::int64_t column, Vector (&weight)[Taps]) {
    const float* const from = call.inputs[1].row_f32(0) + column * Taps;
    if constexpr (Taps == 4) {
        load_four_taps(from, weight);
    } else {
        float taps[Taps * lanes];
        load_taps(from, Taps, lanes, taps);
        for (int j = 0; j < Taps; ++j) weight[j] = load(taps + j * lanes);
    }
}

[[gnu::always_inline]] inline Vector load_bias(const Call& call, std::int64_t column) { return call.input(2) ? load(call.input(2)->row_f32(0) + column) : Vector{}; }

/// One vector of columns down a run of rows; before[j]: the rows before the first, oldest first.
template <int Taps>
static void convolve(const Call& call, std::int64_t first, std::int64_t end, std::int64_t column, const float* const* before) noexcept {
    Vector weight[Taps], past[Taps];
    const Vector bias = load_bias(call, column);
    load_weights(call, column, weight);
    for (int j = 0; j < Taps - 1; ++j) past[j] = load(before[j] + column);
    for (std::int64_t r = first; r < end; ++r) {
        past[Taps - 1] = load(call.inputs[0].row_f32(r) + column);
        Vector total = bias;
        for (int j = 0; j < Taps; ++j) total = fused(past[j], weight[j], total);
        store(call.output.row_f32(r) + column, total);
        for (int j = 0; j < Taps - 1; ++j) past[j] = past[j + 1];
    }
}

/// Rows that are `rows[Taps - 1]` and the Rows - 1 behind it, `vectors` vectors of columns from `column` on; taps[j]: the weights, bias behind them.
template <int Taps, int Rows>
static void pass_rows(const float* const* rows, float* const* outputs, const float* taps, std::int64_t column, std::int64_t vectors) noexcept {
    for (std::int64_t i = 0; i < vectors; ++i, column += lanes, taps += lanes) {
        Vector weight[Taps], x[Taps + Rows - 1];
        for (int j = 0; j < Taps; ++j) weight[j] = load(taps + j * piece_columns);
        const Vector bias = load(taps + Taps * piece_columns);
        for (int r = 0; r < Taps + Rows - 1; ++r) x[r] = load(rows[r] + column);
        for (int r = 0; r < Rows; ++r) {
            Vector total = bias;
            for (int j = 0; j < Taps; ++j) total = fused(x[r + j], weight[j], total);
            store(outputs[r] + column, total);
        }
    }
}

/// A run of at most piece_rows rows and piece_columns columns, whole vectors.
template <int Taps>
static void convolve_rows(const Call& call, std::int64_t first, std::int64_t end, std::int64_t column, std::int64_t vectors, const float* const* before) noexcept {
    alignas(64) float taps[(Taps + 1) * piece_columns];
    for (std::int64_t i = 0; i < vectors; ++i) {
        Vector weight[Taps];
        load_weights(call, column + i * lanes, weight);
        for (int j = 0; j < Taps; ++j) store(taps + j * piece_columns + i * lanes, weight[j]);
        store(taps + Taps * piece_columns + i * lanes, load_bias(call, column + i * lanes));
    }
    const float* rows[piece_rows + Taps - 1];
    float* outputs[piece_rows];
    std::copy_n(before, Taps - 1, rows);
    for (std::int64_t r = first; r < end; ++r) rows[r - first + Taps - 1] = call.inputs[0].row_f32(r), outputs[r - first] = call.output.row_f32(r);
    std::int64_t r = 0;
    for (; r + rows_together <= end - first; r += rows_together) pass_rows<Taps, rows_together>(rows + r, outputs + r, taps, column, vectors);
    for (; r < end - first; ++r) pass_rows<Taps, 1>(rows + r, outputs + r, taps, column, vectors);
}

/// A run of rows, `count` columns: as many as are whole vectors. Returns how many.
template <int Taps>
static std::int64_t convolve_vectors(const Call& call, std::int64_t first, std::int64_t end, std::int64_t column, std::int64_t count, const float* const* before) noexcept {
    const std::int64_t vectors = count / lanes;
    if (end - first >= least_passing_rows) convolve_rows<Taps>(call, first, end, column, vectors, before);
    else
        for (std::int64_t c = column; c < column + vectors * lanes; c += lanes) convolve<Taps>(call, first, end, c, before);
    return vectors * lanes;
}

/// Any number of taps and up to `lanes` columns.
static void convolve_any(const Call& call, std::int64_t first, std::int64_t end, std::int64_t column, std::int64_t count, const float* const* before) noexcept {
    const core::Tensor &x = call.inputs[0], &weight = call.inputs[1];
    const std::int64_t taps = weight.shape[1];
    for (std::int64_t r = first; r < end; ++r)
        for (std::int64_t c = column; c < column + count; ++c) {
            float total = call.input(2) ? call.input(2)->row_f32(0)[c] : 0.0f;
            for (std::int64_t j = 0; j < taps; ++j) {
                const std::int64_t from = r - taps + 1 + j;
                total += weight.row_f32(c)[j] * (from < first ? before[from - first + taps - 1][c] : x.row_f32(from)[c]);
            }
            call.output.row_f32(r)[c] = total;
        }
}

/// Rows [first, end) of one sequence, columns [begin, stop).
static void convolve_run(const Call& call, std::int64_t first, std::int64_t end, std::int64_t begin, std::int64_t stop) noexcept {
    const std::int64_t taps = call.inputs[1].shape[1];
    const float* before[most_taps];
    for (std::int64_t j = 0; j < taps - 1; ++j) before[j] = row_before(call, first, taps - 1 - j);
    std::int64_t c = begin;
    if (taps == 4) c += convolve_vectors<4>(call, first, end, c, stop - c, before);
    else if (taps == 3) c += convolve_vectors<3>(call, first, end, c, stop - c, before);
    else if (taps == 2) c += convolve_vectors<2>(call, first, end, c, stop - c, before);
    for (; c < stop; c += lanes) convolve_any(call, first, end, c, std::min<std::int64_t>(lanes, stop - c), before);
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.output.shape.rows(), width = call.output.shape.width(), across = (width + piece_columns - 1) / piece_columns;
    call.pool->run((rows + piece_rows - 1) / piece_rows * across, [&](std::int64_t c, int) {
        const std::int64_t begin = c % across * piece_columns, end = std::min(rows, (c / across + 1) * piece_rows);
        for (std::int64_t first = c / across * piece_rows; first < end;) {
            std::int64_t stop = first + 1;
            while (stop < end && call.batch.sequences[static_cast<std::size_t>(stop)] == call.batch.sequences[static_cast<std::size_t>(first)]) ++stop;
            convolve_run(call, first, stop, begin, std::min(width, begin + piece_columns));
            first = stop;
        }
    });
    if (call.inputs[1].shape[1] > 1) slide_windows(call);
}

}  // namespace tailor::ops::short_conv_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::short_conv_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    const core::Shape& weight = node.inputs[1].shape;
    require(weight.rank() == 2 && weight[0] == node.inputs[0].shape.width(), "short_conv: the weight must be [width, taps]", node);
    require(weight[1] >= 1 && weight[1] <= base::most_taps, core::format("short_conv: from 1 to {} taps are supported, here are {}", base::most_taps, weight[1]), node);
    if (node.input(2)) require_f32(node, 2), require(node.inputs[2].shape.elements() == weight[0], "short_conv: the bias must have one value per column", node);
    return node.inputs[0];
}

// One tap needs no window; a state cannot be empty, so it keeps a row that nobody reads.
static std::vector<StateType> states(const NodeView& node, const StateOptions&) {
    return window_state(std::max<std::int64_t>(1, node.inputs[1].shape[1] - 1), node.inputs[0].shape.width());
}

static void reference(const Call& call) {
    const std::int64_t taps = call.inputs[1].shape[1], width = call.output.shape.width();
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y = call.input(2) ? row_as_double(*call.input(2), 0) : std::vector<double>(x.size());
        const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)];
        for (std::int64_t c = 0; c < width; ++c) {
            const auto at = static_cast<std::size_t>(c);
            y[at] += static_cast<double>(call.inputs[1].row_f32(c)[taps - 1]) * x[at];
            for (std::int64_t j = 0; j < taps - 1; ++j) {
                float& kept = window_row(call.states[0], sequence, j)[c];
                y[at] += static_cast<double>(call.inputs[1].row_f32(c)[j]) * static_cast<double>(kept);
                kept = j < taps - 2 ? window_row(call.states[0], sequence, j + 1)[c] : static_cast<float>(x[at]);
            }
        }
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[1].shape[1]));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t taps : {1, 2, 3, 4, 7})
        for (const std::int64_t width : {7, 37, 64, 1100})
            for (const std::int64_t rows : {1, 2, 5, 150})
                for (const std::int64_t past : {0, 2, 9})
                    list.push_back({.inputs = {f32({rows, width}), f32({width, taps}), past ? f32({width}) : TensorType{}}, .past = past});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return parts(d, d.graph.add("short_conv_gradient", {d.input(0), d.input(1), d.input(2), d.gradient}), {0, 1, 2});
}

static const Kernel kernels[] = {{.name = "simd", .doc = "four rows at a time, weights in cache; few rows a vector of columns after the other, weights and history in registers", .version = 2, .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::short_conv_kernels

namespace tailor::ops::entries {
extern const Op short_conv = {
    .name = "short_conv",
    .doc = "x [rows, width], weight [width, taps], optional bias [width] -> [rows, width]: y[t] = bias + sum of weight[:, j] x[t - taps + 1 + j]",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &short_conv_kernels::shape,
    .reference = &short_conv_kernels::reference,
    .kernels = short_conv_kernels::kernels,
    .cost = &short_conv_kernels::cost,
    .states = &short_conv_kernels::states,
    .cases = &short_conv_kernels::cases,
    .gradient = &short_conv_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
