// Weight gradient: the product of two sets of rows summed over the rows, dW = dY^T X; what matmul hands back to its weight.
//
// Rows of the batch are the depth of the product (ops/product.h), so it costs as much as the product that it belongs to.
#include <algorithm>

#include "ops/pair_product.h"
#include "ops/support.h"

namespace tailor::ops::weight_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[0].shape.rows() == node.inputs[1].shape.rows(), "weight_gradient: both inputs must have the same rows", node);
    return f32({node.inputs[0].shape.width(), node.inputs[1].shape.width()});
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const core::Shape &gradient = node.inputs[0].shape, &x = node.inputs[1].shape;
    return std::max(product_scratch_bytes(gradient.width(), gradient.rows()), pair_scratch_bytes(gradient.width(), x.rows(), x.width(), true));
}

static Product product(const Call& call) noexcept {
    const core::Tensor &gradient = call.inputs[0], &y = call.output;
    core::Tensor x = call.inputs[1];
    x.shape = {x.shape.rows(), x.shape.width()};
    return {gradient.row_f32(0), 1, gradient.row_stride_bytes / 4, x, y.row_f32(0), y.row_stride_bytes / 4, gradient.shape.width()};
}

static void run(const Call& call) noexcept { run_product.at(call.isa)(product(call), *call.pool, call.isa, call.scratch); }

static void run_pairs(const Call& call) noexcept { run_pair_product.at(call.isa)({product(call)}, *call.pool, call.isa, call.scratch); }

static std::string declines_pairs(const NodeView& node) { return declines_pair_product(node.output.shape[0], node.inputs[0].shape.rows(), node.output.shape[1]); }

static void reference(const Call& call) {
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(call.output.shape.rows()), std::vector<double>(static_cast<std::size_t>(call.output.shape.width())));
    for (std::int64_t r = 0; r < call.inputs[0].shape.rows(); ++r) {
        const std::vector<double> gradient = row_as_double(call.inputs[0], r), x = row_as_double(call.inputs[1], r);
        for (std::size_t j = 0; j < gradient.size(); ++j)
            for (std::size_t i = 0; i < x.size(); ++i) sums[j][i] += gradient[j] * x[i];
    }
    for (std::size_t j = 0; j < sums.size(); ++j) store_row(call.output, static_cast<std::int64_t>(j), sums[j]);
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[0].shape.rows())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 70, 1100})
        for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {33, 37}, {50, 300}, {35, 2100}}) list.push_back({.inputs = {f32({rows, n}), f32({rows, k})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("matmul", {d.input(1), d.gradient}) : -1, d.wants(1) ? d.graph.add("matmul_transposed", {d.input(0), d.gradient}) : -1};
}

static const Kernel kernels[] = {
    {.name = "pairs", .doc = "both factors as pairs of bf16, sums in f32", .run = {{nullptr, nullptr, &run_pairs}}, .unit = Unit::vector_bf16, .error = pair_error, .declines = &declines_pairs},
    {.name = "panels", .doc = "the gradient laid out in tiles, pieces of x against all of them", .run = {{&run}}},
};

}  // namespace tailor::ops::weight_gradient_kernels

namespace tailor::ops::entries {
extern const Op weight_gradient = {
    .name = "weight_gradient",
    .doc = "gradient [rows, n], x [rows, k] -> [n, k]: gradient^T x",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &weight_gradient_kernels::shape,
    .reference = &weight_gradient_kernels::reference,
    .kernels = weight_gradient_kernels::kernels,
    .cost = &weight_gradient_kernels::cost,
    .scratch_bytes = &weight_gradient_kernels::scratch_bytes,
    .cases = &weight_gradient_kernels::cases,
    .gradient = &weight_gradient_kernels::gradient,
};
}  // namespace tailor::ops::entries
