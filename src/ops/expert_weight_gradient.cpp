// Expert weight gradient: for each expert the product of two sets of rows summed over the rows it served, dW[e] = sum of dy[p]^T x[p].
//
// What expert_matmul hands back to its weights. x has a row per pair of a row and an expert, or one that several pairs share; without ids,
// part j of each row belongs to expert j (grouped_matmul). An expert that served no one gets zeros.
#include "ops/expert_rows.h"
#include "ops/gradients.h"
#include "ops/product.h"
#include "ops/support.h"

namespace tailor::ops::expert_weight_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    const TensorType &gradient = node.inputs[0], &x = node.inputs[1], ids = node.input(2);
    const std::int64_t experts = node.attributes.integer("experts"), rows = gradient.shape.rows();
    require(experts > 0 && rows % x.shape.rows() == 0, "expert_weight_gradient: the rows of the gradient must be a multiple of those of x", node);
    if (ids) {
        require(ids.format->name == "i32" && ids.shape.elements() == rows, "expert_weight_gradient: one i32 id per row is needed", node);
        return f32({experts, gradient.shape.width(), x.shape.width()});
    }
    require(rows == x.shape.rows() && gradient.shape.width() % experts == 0 && x.shape.width() % experts == 0, "expert_weight_gradient: without ids both need a part per expert", node);
    return f32({experts, gradient.shape.width() / experts, x.shape.width() / experts});
}

static std::int64_t gathered_bytes(std::int64_t rows, std::int64_t width) { return (rows * width * static_cast<std::int64_t>(sizeof(float)) + 127) / 64 * 64; }

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows(), experts = node.attributes.integer("experts");
    return expert_rows_bytes(rows, experts) + gathered_bytes(rows, node.inputs[0].shape.width()) + gathered_bytes(rows, node.inputs[1].shape.width()) +
           product_scratch_bytes(node.output.shape[1], rows);
}

static void run(const Call& call) noexcept {
    const core::Tensor &gradient = call.inputs[0], &x = call.inputs[1], &y = call.output;
    const std::int64_t rows = gradient.shape.rows(), experts = y.shape[0], n = y.shape[1], k = y.shape[2];
    const auto product = [&](const float* a, std::int64_t a_depth, const core::Tensor& b, std::int64_t e, std::byte* scratch) {
        run_product.at(call.isa)({a, 1, a_depth, b, y.row_f32(e * n), k, n}, *call.pool, call.isa, scratch);
    };
    if (!call.input(2)) {
        core::Tensor part{.format = x.format, .shape = {rows, k}, .row_stride_bytes = x.row_stride_bytes};
        for (std::int64_t e = 0; e < experts; ++e) {
            part.data = x.data + e * k * static_cast<std::int64_t>(sizeof(float));
            product(gradient.row_f32(0) + e * n, experts * n, part, e, call.scratch);
        }
        return;
    }
    const ExpertRows pairs = sort_pairs(call.inputs[2].row_i32(0), rows, experts, call.scratch);
    std::byte* at = call.scratch + expert_rows_bytes(rows, experts);
    auto* const gradients = reinterpret_cast<float*>(at);
    auto* const inputs = reinterpret_cast<float*>(at += gathered_bytes(rows, n));
    at += gathered_bytes(rows, k);
    for (std::int64_t e = 0; e < experts; ++e) {
        const std::span<const std::int32_t> mine = pairs.of(e);
        if (mine.empty()) {
            std::memset(y.row_f32(e * n), 0, static_cast<std::size_t>(n * k) * sizeof(float));
            continue;
        }
        gather_rows(gradient, mine, 1, gradients, *call.pool);
        gather_rows(x, mine, rows / x.shape.rows(), inputs, *call.pool);
        product(gradients, n, formats::view(*x.format, {static_cast<std::int64_t>(mine.size()), k}, inputs), e, at);
    }
}

static void reference(const Call& call) {
    const std::int64_t experts = call.output.shape[0], n = call.output.shape[1], k = call.output.shape[2];
    const std::int64_t pairs = call.inputs[0].shape.elements() / n, rows = call.inputs[1].shape.elements() / k;
    const core::Tensor gradient = formats::view(*call.inputs[0].format, {pairs, n}, call.inputs[0].data), x = formats::view(*call.inputs[1].format, {rows, k}, call.inputs[1].data);
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(experts * n), std::vector<double>(static_cast<std::size_t>(k)));
    for (std::int64_t p = 0; p < pairs; ++p) {
        const std::int64_t e = call.input(2) ? call.inputs[2].row_i32(0)[p] : p % experts;
        const std::vector<double> from = row_as_double(x, p * rows / pairs);
        for (std::int64_t j = 0; j < n; ++j)
            for (std::size_t i = 0; i < from.size(); ++i) sums[static_cast<std::size_t>(e * n + j)][i] += static_cast<double>(gradient.row_f32(p)[j]) * from[i];
    }
    for (std::size_t j = 0; j < sums.size(); ++j) store_row(call.output, static_cast<std::int64_t>(j), sums[j]);
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements()) * static_cast<double>(node.output.shape[2])); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 9, 60})
        for (const std::int64_t used : {1, 3})
            list.push_back({.inputs = {f32({rows * used, 20}), f32({used == 3 && rows == 9 ? rows * used : rows, 37}), i32({rows, used})}, .attributes = {{"experts", std::int64_t{5}}}, .index_limit = 4});
    for (const std::int64_t rows : {1, 40}) list.push_back({.inputs = {f32({rows, 4 * 18}), f32({rows, 4 * 33})}, .attributes = {{"experts", std::int64_t{4}}}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    std::vector<Value> result(3, -1);
    const std::int64_t used = d.shape(0).rows() / d.shape(1).rows();
    const Value ids = d.input(2) < 0 ? -1 : reshaped(d.graph, d.input(2), {d.shape(1).rows(), used});
    if (d.wants(0)) result[0] = d.graph.add("expert_matmul", {d.input(1), d.gradient, ids});
    if (!d.wants(1)) return result;
    result[1] = d.graph.add("expert_matmul_transposed", {d.input(0), d.gradient, d.input(2)});
    if (used > 1) result[1] = d.graph.add("expert_sum", {result[1]}, {{"used", used}});
    return result;
}

static const Kernel kernels[] = {{.name = "gathered", .doc = "one product per expert with the rows it has", .run = {{&run}}}};

}  // namespace tailor::ops::expert_weight_gradient_kernels

namespace tailor::ops::entries {
extern const Op expert_weight_gradient = {
    .name = "expert_weight_gradient",
    .doc = "gradient [rows * used, n], x [rows, k] or [rows * used, k], optional ids i32 of rows * used values, attribute experts -> [experts, n, k]: "
           "for each expert gradient^T x over its rows; without ids gradient [rows, experts * n], x [rows, experts * k]",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &expert_weight_gradient_kernels::shape,
    .reference = &expert_weight_gradient_kernels::reference,
    .kernels = expert_weight_gradient_kernels::kernels,
    .cost = &expert_weight_gradient_kernels::cost,
    .scratch_bytes = &expert_weight_gradient_kernels::scratch_bytes,
    .cases = &expert_weight_gradient_kernels::cases,
    .gradient = &expert_weight_gradient_kernels::gradient,
};
}  // namespace tailor::ops::entries
