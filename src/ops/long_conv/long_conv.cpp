// Long convolution: every column with a causal filter of its own, as long as the text.
//
//     y_t[c] = sum over j < min(length, t + 1) of filter[j][c] x_(t - j)[c]  +  skip[c] x_t[c]
// Poli et al., "Hyena Hierarchy: Towards Larger Convolutional Language Models", 2023, equations 5 and 8; the convolution form of state
// spaces whose rates do not depend on the input (Gu et al., S4D, 2022, section 2.3). The state is x itself, a row per position. Outputs
// go in blocks of 512 rows and lags in pieces of 512 (a partitioned convolution): a piece needs 1,024 rows of the past, fits a
// transform of 1,024 points with nothing wrapped around, and asks the same of a prompt in one call and in many.
//
// Per piece and column the transforms cost a row 120 flops, the direct form 1,024; below 64 rows the direct form wins, and one row is a
// sum down the columns, bound by reading the filter and the past. Measured with 4,096 rows of 1,024 columns in calls of 512, 2 threads:
// 5.4 microseconds a row by transforms, 54 directly (calls of 63), 198 row by row.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/windows.h"

#define TAILOR_THIS_FILE "ops/long_conv/long_conv.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::long_conv_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/long_conv/fourier.h"

/// Rows of a block of outputs and lags of a piece of the filter.
constexpr std::int64_t block = points / 2;
// Fewest rows for the direct form in blocks, where eight outputs share each loaded number, and for the transform.
constexpr std::int64_t least_direct = 4, least_transform = 64;
constexpr std::int64_t step_columns = 8 * lanes;

/// A run of rows of one sequence; `past`: its x by position.
struct Run {
    const Call& call;
    const float* past;
    std::int64_t width, length, first, rows, position;

    const float* filter(std::int64_t lag) const noexcept { return call.inputs[1].row_f32(lag); }
};

/// `rows` pieces of `strip` columns, `stride` apart; zeros beyond the `count` columns that there are.
static void load_strip(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t count, std::int64_t strip, float* to) noexcept {
    for (std::int64_t r = 0; r < rows; ++r, from += stride, to += strip) {
        if (count >= strip) {
            for (std::int64_t c = 0; c < strip; c += lanes) store(to + c, load(from + c));
        } else {
            std::copy(from, from + count, to);
            std::fill(to + count, to + strip, 0.0f);
        }
    }
}

/// x of the positions [begin, begin + rows), zeros before the text, and zeros up to `all` rows.
static void load_past(const Run& run, std::int64_t column, std::int64_t strip, std::int64_t begin, std::int64_t rows, std::int64_t all, float* to) noexcept {
    const std::int64_t missing = std::clamp<std::int64_t>(-begin, 0, rows);
    std::fill_n(to, missing * strip, 0.0f);
    load_strip(run.past + (begin + missing) * run.width + column, run.width, rows - missing, run.width - column, strip, to + missing * strip);
    std::fill_n(to + rows * strip, (all - rows) * strip, 0.0f);
}

/// Lags [begin, begin + block) of the filter, then zeros up to `all`.
static void load_filter(const Run& run, std::int64_t column, std::int64_t strip, std::int64_t begin, std::int64_t all, float* to) noexcept {
    const std::int64_t lags = std::min(run.length - begin, block), stride = run.call.inputs[1].row_stride_bytes / static_cast<std::int64_t>(sizeof(float));
    load_strip(run.filter(begin) + column, stride, lags, run.width - column, strip, to);
    std::fill_n(to + lags * strip, (all - lags) * strip, 0.0f);
}

/// Rows [r, r + rows) of the run's outputs, from sums [rows][strip].
static void store_outputs(const Run& run, std::int64_t column, std::int64_t strip, std::int64_t r, std::int64_t rows, const float* sums, float factor) noexcept {
    const std::int64_t count = std::min(strip, run.width - column);
    const core::Tensor* const skip = run.call.input(2);
    for (std::int64_t i = 0; i < rows; ++i) {
        const float* const x = run.past + (run.position + r + i) * run.width + column;
        float* const y = run.call.output.row_f32(run.first + r + i) + column;
        for (std::int64_t c = 0; c < count; ++c) y[c] = sums[i * strip + c] * factor;
        for (std::int64_t c = 0; skip && c < count; ++c) y[c] += skip->row_f32(0)[column + c] * x[c];
    }
}

/// How many pieces of the filter reach from the block's last row into the text.
static std::int64_t pieces(const Run& run, std::int64_t r, std::int64_t rows) noexcept {
    return (std::min(run.length, run.position + r + rows) + block - 1) / block;
}

/// Brings a row of the past and one of the filter near for the next piece: rows lie pages apart, which no processor fetches ahead by itself.
static void fetch(const Run& run, std::int64_t column, std::int64_t position, std::int64_t lag) noexcept {
    for (std::int64_t c = 0; position >= 0 && c < point; c += 16) __builtin_prefetch(run.past + position * run.width + column + c, 0, 2);
    for (std::int64_t c = 0; lag < run.length && c < point; c += 16) __builtin_prefetch(run.filter(lag) + column + c, 0, 2);
}

/// Rows [r, r + rows) for two vectors of columns, by transforms.
static void convolve_by_transform(const Run& run, std::int64_t column, std::int64_t r, std::int64_t rows) noexcept {
    Signal x, h, sums;
    std::fill_n(sums.values, points * point, 0.0f);
    for (std::int64_t m = 0; m < pieces(run, r, rows); ++m) {
        load_past(run, column, point, run.position + r - (m + 1) * block, block + rows, points, x.values);
        load_filter(run, column, point, m * block, points, h.values);
        transform(x.values, points), transform(h.values, points);
        add_products(x, h, sums, [&](std::int64_t i) { fetch(run, column, run.position + r - (m + 2) * block + i, (m + 1) * block + i); });
    }
    transform_back(sums.values, points);
    store_outputs(run, column, point, r, rows, sums.values + block * point, 1.0f / (4 * points));
}

/// to[i] += sum over l of filter[l] x[i - l] for eight outputs; x counts from the first output's row.
static void add_direct(const float* filter, std::int64_t lags, const float* x, float* to) noexcept {
    constexpr int outputs = 8;
    Vector sums[outputs];
    for (int i = 0; i < outputs; ++i) sums[i] = load(to + i * lanes);
    for (std::int64_t l = 0; l < lags; ++l) {
        const Vector f = load(filter + l * lanes);
        for (int i = 0; i < outputs; ++i) sums[i] = fused(f, load(x + (i - l) * lanes), sums[i]);
    }
    for (int i = 0; i < outputs; ++i) store(to + i * lanes, sums[i]);
}

/// Rows [r, r + rows) for one vector of columns, directly.
static void convolve_directly(const Run& run, std::int64_t column, std::int64_t r, std::int64_t rows) noexcept {
    alignas(64) float x[points * lanes], filter[block * lanes], sums[block * lanes] = {};
    for (std::int64_t m = 0; m < pieces(run, r, rows); ++m) {
        load_past(run, column, lanes, run.position + r - (m + 1) * block, block + rows, block + (rows + 7) / 8 * 8, x);
        load_filter(run, column, lanes, m * block, block, filter);
        for (std::int64_t i = 0; i < rows; i += 8) add_direct(filter, std::min(block, run.length - m * block), x + (block + i) * lanes, sums + i * lanes);
    }
    store_outputs(run, column, lanes, r, rows, sums, 1);
}

/// Columns [column, column + V vectors) of row r.
template <int V>
static void step(const Run& run, std::int64_t r, std::int64_t column) noexcept {
    const std::int64_t position = run.position + r;
    const float* x = run.past + position * run.width + column;
    Vector sums[V] = {};
    if (const core::Tensor* const skip = run.call.input(2))
        for (int v = 0; v < V; ++v) sums[v] = load(x + v * lanes) * load(skip->row_f32(0) + column + v * lanes);
    for (std::int64_t l = 0; l < std::min(run.length, position + 1); ++l, x -= run.width)
        for (int v = 0; v < V; ++v) sums[v] = fused(load(run.filter(l) + column + v * lanes), load(x + v * lanes), sums[v]);
    for (int v = 0; v < V; ++v) store(run.call.output.row_f32(run.first + r) + column + v * lanes, sums[v]);
}

static void step_rest(const Run& run, std::int64_t r, std::int64_t column, std::int64_t end) noexcept {
    const std::int64_t position = run.position + r;
    for (std::int64_t c = column; c < end; ++c) {
        float total = run.call.input(2) ? run.call.input(2)->row_f32(0)[c] * run.past[position * run.width + c] : 0.0f;
        for (std::int64_t l = 0; l < std::min(run.length, position + 1); ++l) total += run.filter(l)[c] * run.past[(position - l) * run.width + c];
        run.call.output.row_f32(run.first + r)[c] = total;
    }
}

static void step_columns_of(const Run& run, std::int64_t begin, std::int64_t end) noexcept {
    for (std::int64_t r = 0; r < run.rows; ++r) {
        std::int64_t c = begin;
        for (; c + 8 * lanes <= end; c += 8 * lanes) step<8>(run, r, c);
        for (; c + lanes <= end; c += lanes) step<1>(run, r, c);
        step_rest(run, r, c, end);
    }
}

/// The rows of one sequence in the form that their number asks for, of those that `least` allows.
static void convolve(const Run& run, std::int64_t most_form, core::Pool& pool) noexcept {
    const std::int64_t blocks = (run.rows + block - 1) / block;
    const bool by_transform = run.rows >= least_transform && most_form >= 2, directly = run.rows >= least_direct && most_form >= 1;
    const std::int64_t columns = by_transform ? point : directly ? lanes : step_columns, units = (run.width + columns - 1) / columns;
    if (!by_transform && !directly)
        return pool.run(units, [&](std::int64_t c, int) { step_columns_of(run, c * columns, std::min(run.width, (c + 1) * columns)); });
    pool.run(units * blocks, [&](std::int64_t c, int) {
        const std::int64_t r = c / units * block, rows = std::min(block, run.rows - r);
        if (by_transform) convolve_by_transform(run, c % units * columns, r, rows);
        else convolve_directly(run, c % units * columns, r, rows);
    });
}

static void run_form(const Call& call, std::int64_t most_form) noexcept {
    const core::Tensor &x = call.inputs[0], &past = call.states[0];
    const std::int64_t width = x.shape.width(), context = past.shape[1], rows = x.shape.rows(), together = rows_per_chunk(width);
    const auto at = [&](std::int64_t r) { return past.row_f32(call.batch.sequences[static_cast<std::size_t>(r)] * context + call.batch.positions[static_cast<std::size_t>(r)]); };
    call.pool->run((rows + together - 1) / together, [&](std::int64_t c, int) {
        for (std::int64_t r = c * together; r < std::min(rows, (c + 1) * together); ++r) std::memcpy(at(r), x.row_f32(r), static_cast<std::size_t>(width) * sizeof(float));
    });
    for_each_run(call.batch, rows, [&](std::int64_t sequence, std::int64_t first, std::int64_t end) {
        convolve({call, past.row_f32(sequence * context), width, call.inputs[1].shape[0], first, end - first, call.batch.positions[static_cast<std::size_t>(first)]},
                 most_form, *call.pool);
    });
}

static void run_transform(const Call& call) noexcept { run_form(call, 2); }
static void run_direct(const Call& call) noexcept { run_form(call, 1); }
static void run_steps(const Call& call) noexcept { run_form(call, 0); }

}  // namespace tailor::ops::long_conv_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::long_conv_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0), require_f32(node, 1);
    const std::int64_t width = node.inputs[0].shape.width();
    require(node.inputs[1].shape.rank() == 2 && node.inputs[1].shape[1] == width, "long_conv: the filter must be [length, width]", node);
    if (node.input(2)) require_f32(node, 2), require(node.inputs[2].shape.elements() == width, "long_conv: the skip must have one value per column", node);
    return node.inputs[0];
}

static std::vector<StateType> states(const NodeView& node, const StateOptions& options) {
    return {{"past", {options.context, node.inputs[0].shape.width()}, &formats::get("f32")}};
}

static void reference(const Call& call) {
    const std::int64_t context = call.states[0].shape[1], length = call.inputs[1].shape[0];
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::int64_t position = call.batch.positions[static_cast<std::size_t>(r)], sequence = call.batch.sequences[static_cast<std::size_t>(r)];
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        store_row(call.states[0], sequence * context + position, x);
        std::vector<double> y = call.input(2) ? row_as_double(*call.input(2), 0) : std::vector<double>(x.size());
        for (std::size_t c = 0; c < x.size(); ++c) y[c] *= x[c];
        for (std::int64_t j = 0; j < std::min(length, position + 1); ++j)
            for (std::size_t c = 0; c < x.size(); ++c)
                y[c] += static_cast<double>(call.inputs[1].row_f32(j)[c]) * static_cast<double>(call.states[0].row_f32(sequence * context + position - j)[c]);
        store_row(call.output, r, y);
    }
}

/// Of the direct form for few rows, of the transforms for many.
static Cost cost(const NodeView& node) {
    const auto rows = static_cast<double>(node.inputs[0].shape.rows()), elements = static_cast<double>(node.inputs[1].shape.elements());
    return streaming_cost(node, rows * elements * (node.inputs[0].shape.rows() < base::least_transform ? 2.0 : 120.0 / static_cast<double>(base::block)));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [width, length] : {std::pair<std::int64_t, std::int64_t>{7, 2}, {37, 12}, {64, 600}, {5, 1300}})
        for (const std::int64_t rows : {1, 5, 64, 530})
            for (const std::int64_t past : {0, 700})
                list.push_back({.inputs = {f32({rows, width}), f32({length, width}), past ? f32({width}) : TensorType{}}, .past = past, .context = rows + past});
    return list;
}

template <std::int64_t Least>
static std::string declines(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows >= Least ? "" : core::format("made for {} rows or more, here are {}", Least, rows);
}

static const Kernel kernels[] = {
    {.name = "transform", .doc = "blocks of 512 rows and lags as products of Fourier transforms, two vectors of columns as one complex", .run = TAILOR_EACH_ISA(run_transform),
     .declines = &declines<base::least_transform>},
    {.name = "direct", .doc = "blocks of rows and lags, eight outputs at a time", .run = TAILOR_EACH_ISA(run_direct), .declines = &declines<base::least_direct>},
    {.name = "steps", .doc = "row by row down the filter and the past", .run = TAILOR_EACH_ISA(run_steps)},
};

}  // namespace tailor::ops::long_conv_kernels

namespace tailor::ops::entries {
extern const Op long_conv = {
    .name = "long_conv",
    .doc = "x [rows, width], filter [length, width], optional skip [width] -> [rows, width]: y_t = sum of filter[j] x_(t - j) + skip x_t",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &long_conv_kernels::shape,
    .reference = &long_conv_kernels::reference,
    .kernels = long_conv_kernels::kernels,
    .cost = &long_conv_kernels::cost,
    .states = &long_conv_kernels::states,
    .cases = &long_conv_kernels::cases,
    .not_differentiable = "the gradient of the filter is a correlation over all rows, which is not built",
};
}  // namespace tailor::ops::entries
#endif
