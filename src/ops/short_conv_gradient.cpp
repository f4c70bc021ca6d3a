// Short convolution gradient: what a causal convolution of a few taps per column hands back to its input, weights and bias.
//
//     y[t] = bias + sum over j of w[j] x[t - taps + 1 + j]
//     dx[t] = sum over j of w[j] dy[t + taps - 1 - j],   dw[j] = sum over t of dy[t] x[t - taps + 1 + j],   dbias = sum of dy
// within each sequence. A unit of work is 64 columns of all rows, which sums over rows in order. Rows are whole sequences from
// position 0.
#include <algorithm>
#include <cstring>

#include "ops/sequences.h"

namespace tailor::ops::short_conv_gradient_kernels {

// short_conv takes as many; columns of a unit are four lines of a row.
constexpr std::int64_t most_taps = 32, unit_columns = 64;

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 3}) require_f32(node, i);
    const core::Shape &x = node.inputs[0].shape, &weight = node.inputs[1].shape;
    require(weight.rank() == 2 && weight[0] == x.width() && weight[1] >= 1 && weight[1] <= most_taps, "short_conv_gradient: the weight must be [width, taps] with up to 32 taps", node);
    require(node.inputs[3].shape == x, "short_conv_gradient: the gradient must have the shape of x", node);
    std::int64_t numbers = x.elements() + weight.elements();
    if (node.input(2)) require_f32(node, 2), numbers += node.inputs[2].shape.elements();
    return f32({numbers});
}

static std::int64_t scratch_bytes(const NodeView& node) { return sequence_rows_bytes(node.inputs[0].shape.rows()); }

/// Columns [begin, end) of all rows.
static void run_columns(const Call& call, std::span<const std::int32_t> sorted, std::int64_t begin, std::int64_t end) noexcept {
    const core::Tensor &x = call.inputs[0], &weight = call.inputs[1], &gradient = call.inputs[3];
    const std::int64_t width = x.shape.width(), taps = weight.shape[1], count = end - begin;
    float *const dx = call.output.row_f32(0), *const dw = dx + x.shape.elements(), *const db = dw + weight.shape.elements();
    float weights[most_taps][unit_columns], sums[most_taps][unit_columns] = {}, bias[unit_columns] = {};
    for (std::int64_t j = 0; j < taps; ++j)
        for (std::int64_t c = 0; c < count; ++c) weights[j][c] = weight.row_f32(begin + c)[j];
    for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> rows) {
        const auto length = static_cast<std::int64_t>(rows.size());
        for (std::int64_t t = 0; t < length; ++t) {
            const float* const dy = gradient.row_f32(rows[static_cast<std::size_t>(t)]) + begin;
            float* const to = dx + rows[static_cast<std::size_t>(t)] * width + begin;
            std::fill_n(to, count, 0.0f);
            for (std::int64_t c = 0; c < count; ++c) bias[c] += dy[c];
            for (std::int64_t j = 0; j < taps; ++j) {
                const std::int64_t later = t + taps - 1 - j, earlier = t - taps + 1 + j;
                if (later < length) {
                    const float* const from = gradient.row_f32(rows[static_cast<std::size_t>(later)]) + begin;
                    for (std::int64_t c = 0; c < count; ++c) to[c] += weights[j][c] * from[c];
                }
                if (earlier < 0) continue;
                const float* const seen = x.row_f32(rows[static_cast<std::size_t>(earlier)]) + begin;
                for (std::int64_t c = 0; c < count; ++c) sums[j][c] += dy[c] * seen[c];
            }
        }
    });
    for (std::int64_t c = 0; c < count; ++c)
        for (std::int64_t j = 0; j < taps; ++j) dw[(begin + c) * taps + j] = sums[j][c];
    if (call.input(2)) std::copy_n(bias, count, db + begin);
}

static void run(const Call& call) noexcept {
    const std::int64_t width = call.inputs[0].shape.width();
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, call.inputs[0].shape.rows(), call.scratch);
    call.pool->run((width + unit_columns - 1) / unit_columns, [&](std::int64_t u, int) { run_columns(call, sorted, u * unit_columns, std::min(width, (u + 1) * unit_columns)); });
}

static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows(), width = call.inputs[0].shape.width(), taps = call.inputs[1].shape[1];
    std::vector<double> dx(static_cast<std::size_t>(rows * width)), dw(static_cast<std::size_t>(width * taps)), db(call.input(2) ? static_cast<std::size_t>(width) : 0);
    std::vector<std::byte> scratch(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    // From every result to what it was made of.
    for_each_sequence(call, rows, scratch.data(), [&](std::span<const std::int32_t> sequence) {
        for (std::int64_t t = 0; t < static_cast<std::int64_t>(sequence.size()); ++t)
            for (std::int64_t c = 0; c < width; ++c) {
                const double dy = call.inputs[3].row_f32(sequence[static_cast<std::size_t>(t)])[c];
                if (!db.empty()) db[static_cast<std::size_t>(c)] += dy;
                for (std::int64_t j = std::max<std::int64_t>(0, taps - 1 - t); j < taps; ++j) {
                    const std::int32_t from = sequence[static_cast<std::size_t>(t - taps + 1 + j)];
                    dx[static_cast<std::size_t>(from * width + c)] += dy * static_cast<double>(call.inputs[1].row_f32(c)[j]);
                    dw[static_cast<std::size_t>(c * taps + j)] += dy * static_cast<double>(call.inputs[0].row_f32(from)[c]);
                }
            }
    });
    float* out = call.output.row_f32(0);
    for (const auto* part : {&dx, &dw, &db}) out = std::copy(part->begin(), part->end(), out);
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 4.0 * static_cast<double>(node.inputs[0].shape.elements()) * static_cast<double>(node.inputs[1].shape[1]));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t taps : {1, 3, 4, 7})
        for (const std::int64_t width : {7, 200})
            for (const std::int64_t rows : {1, 5, 90}) {
                const TensorType x = f32({rows, width});
                list.push_back({.inputs = {x, f32({width, taps}), rows == 5 ? TensorType{} : f32({width}), x}});
            }
    return list;
}

static const Kernel kernels[] = {{.name = "columns", .doc = "64 columns of all rows at a time", .run = {{&run}}}};

}  // namespace tailor::ops::short_conv_gradient_kernels

namespace tailor::ops::entries {
extern const Op short_conv_gradient = {
    .name = "short_conv_gradient",
    .doc = "x [rows, width], weight [width, taps], optional bias [width], gradient [rows, width] -> the gradients of short_conv's x, weight and bias, one behind the other; "
           "rows are whole sequences",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &short_conv_gradient_kernels::shape,
    .reference = &short_conv_gradient_kernels::reference,
    .kernels = short_conv_gradient_kernels::kernels,
    .cost = &short_conv_gradient_kernels::cost,
    .scratch_bytes = &short_conv_gradient_kernels::scratch_bytes,
    .cases = &short_conv_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
