// Sampled weight gradient: weight_gradient from the rows of x that sample_rows drew, right on average at a share of the cost.
//
// dW = sum over draws of gradient[number of the draw]^T draw; the rows of the gradient are gathered, and the rest is one plain product.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/product.h"
#include "ops/support.h"

namespace tailor::ops::sampled_weight_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[1].shape.rank() == 2 && node.inputs[1].shape.width() > 1, "sampled_weight_gradient: the draws of sample_rows are needed", node);
    return f32({node.inputs[0].shape.width(), node.inputs[1].shape.width() - 1});
}

static std::int64_t gathered_bytes(const NodeView& node) {
    return (node.inputs[1].shape.rows() * node.inputs[0].shape.width() * static_cast<std::int64_t>(sizeof(float)) + 63) / 64 * 64 + 64;
}

static std::int64_t scratch_bytes(const NodeView& node) { return gathered_bytes(node) + product_scratch_bytes(node.inputs[0].shape.width(), node.inputs[1].shape.rows()); }

static std::int64_t number_of(const core::Tensor& draws, std::int64_t i, std::int64_t rows) noexcept {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(draws.row_f32(i)[draws.shape.width() - 1]), 0, rows - 1);
}

static void run(const Call& call) noexcept {
    const core::Tensor &gradient = call.inputs[0], &y = call.output;
    core::Tensor draws = call.inputs[1];
    const std::int64_t count = draws.shape.rows(), width = gradient.shape.width(), chunk = rows_per_chunk(width);
    auto* const gathered = reinterpret_cast<float*>(call.scratch);
    call.pool->run((count + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t i = c * chunk; i < std::min(count, (c + 1) * chunk); ++i)
            std::memcpy(gathered + i * width, gradient.row_f32(number_of(draws, i, gradient.shape.rows())), static_cast<std::size_t>(width) * sizeof(float));
    });
    const TensorType types[] = {{gradient.format, gradient.shape}, {draws.format, draws.shape}};
    draws.shape = {count, draws.shape.width() - 1};  // the rows stay as far apart as they are
    run_product.at(call.isa)({gathered, 1, width, draws, y.row_f32(0), y.row_stride_bytes / 4, width}, *call.pool, call.isa,
                             call.scratch + gathered_bytes({call.attributes, types, {}}));
}

static void reference(const Call& call) {
    const core::Tensor &gradient = call.inputs[0], &draws = call.inputs[1];
    const auto width = static_cast<std::size_t>(call.output.shape.width());
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(call.output.shape.rows()), std::vector<double>(width));
    for (std::int64_t d = 0; d < draws.shape.rows(); ++d) {
        const std::vector<double> g = row_as_double(gradient, number_of(draws, d, gradient.shape.rows())), x = row_as_double(draws, d);
        for (std::size_t j = 0; j < g.size(); ++j)
            for (std::size_t i = 0; i < width; ++i) sums[j][i] += g[j] * x[i];
    }
    for (std::size_t j = 0; j < sums.size(); ++j) store_row(call.output, static_cast<std::int64_t>(j), sums[j]);
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[1].shape.rows())); }

/// Draws of rows that are there.
static void confine(std::span<const core::Tensor> inputs) {
    const core::Tensor& draws = inputs[1];
    for (std::int64_t i = 0; i < draws.shape.rows(); ++i) draws.row_f32(i)[draws.shape.width() - 1] = static_cast<float>(i * 7 % inputs[0].shape.rows());
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 70, 1100})
        for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {33, 37}, {50, 300}})
            list.push_back({.inputs = {f32({rows, n}), f32({(rows + 2) / 3, k + 1})}, .confine = &confine});
    return list;
}

static const Kernel kernels[] = {{.name = "panels", .doc = "the drawn rows of the gradient laid out in tiles, pieces of the draws against all of them", .run = {{&run}}}};

}  // namespace tailor::ops::sampled_weight_gradient_kernels

namespace tailor::ops::entries {
extern const Op sampled_weight_gradient = {
    .name = "sampled_weight_gradient",
    .doc = "gradient [rows, n], draws [count, k + 1] of sample_rows -> [n, k]: gradient^T x on average",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &sampled_weight_gradient_kernels::shape,
    .reference = &sampled_weight_gradient_kernels::reference,
    .kernels = sampled_weight_gradient_kernels::kernels,
    .cost = &sampled_weight_gradient_kernels::cost,
    .scratch_bytes = &sampled_weight_gradient_kernels::scratch_bytes,
    .cases = &sampled_weight_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and its draws are not those of a second one",
};
}  // namespace tailor::ops::entries
