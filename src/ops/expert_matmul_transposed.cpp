// Expert matmul transposed: each row times the matrix of its expert as it lies, y[p] = x[p] W[e]; what expert_matmul hands back to x.
//
// Row p belongs to expert ids[p]; without ids, part j of each row to matrix j, as in expert_matmul and grouped_matmul. Rows are gathered by
// expert, so that an expert's weights are decoded once, in rows or in panels of any format (ops/product.h).
#include "formats/panels.h"
#include "ops/expert_matmul/grouped.h"
#include "ops/expert_rows.h"
#include "ops/gradients.h"
#include "ops/product.h"
#include "ops/support.h"

namespace tailor::ops::expert_matmul_transposed_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const TensorType &x = node.inputs[0], &w = node.inputs[1], ids = node.input(2);
    require(w.shape.rank() == 3 && w.format->weights, "expert_matmul_transposed: the weight must be [experts, n, k]", node);
    require(x.shape.width() == w.shape[1] * (ids ? 1 : w.shape[0]), "expert_matmul_transposed: the width of x must be n, for every expert if there are no ids", node);
    if (ids) require(ids.format->name == "i32" && ids.shape.elements() == x.shape.rows(), "expert_matmul_transposed: one i32 id per row is needed", node);
    return f32({x.shape.rows(), w.shape[2] * (ids ? 1 : w.shape[0])});
}

// Of the gathered rows and their results there are as many as rows of x.
static std::int64_t gathered_bytes(std::int64_t rows, std::int64_t width) { return (rows * width * static_cast<std::int64_t>(sizeof(float)) + 127) / 64 * 64; }

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows(), experts = node.inputs[1].shape[0], n = node.inputs[1].shape[1], k = node.inputs[1].shape[2];
    return expert_rows_bytes(rows, experts) + gathered_bytes(rows, n) + gathered_bytes(rows, k) + product_scratch_bytes(rows, n);
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &w = call.inputs[1], &y = call.output;
    const std::int64_t rows = x.shape.rows(), experts = w.shape[0], n = w.shape[1], k = w.shape[2];
    if (!call.input(2)) {
        for (std::int64_t e = 0; e < experts; ++e)
            run_product.at(call.isa)({x.row_f32(0) + e * n, experts * n, 1, expert_matmul_kernels::expert_matrix(w, e, 0, n), y.row_f32(0) + e * k, experts * k, rows}, *call.pool,
                                     call.isa, call.scratch);
        return;
    }
    const ExpertRows pairs = sort_pairs(call.inputs[2].row_i32(0), rows, experts, call.scratch);
    std::byte* at = call.scratch + expert_rows_bytes(rows, experts);
    auto* const from = reinterpret_cast<float*>(at);
    auto* const to = reinterpret_cast<float*>(at += gathered_bytes(rows, n));
    at += gathered_bytes(rows, k);
    for (std::int64_t e = 0; e < experts; ++e) {
        const std::span<const std::int32_t> mine = pairs.of(e);
        if (mine.empty()) continue;
        gather_rows(x, mine, 1, from, *call.pool);
        run_product.at(call.isa)({from, n, 1, expert_matmul_kernels::expert_matrix(w, e, 0, n), to, k, static_cast<std::int64_t>(mine.size())}, *call.pool, call.isa, at);
        for (std::size_t i = 0; i < mine.size(); ++i) std::memcpy(y.row_f32(mine[i]), to + static_cast<std::int64_t>(i) * k, static_cast<std::size_t>(k) * sizeof(float));
    }
}

static void reference(const Call& call) {
    const core::Tensor& w = call.inputs[1];
    const std::int64_t experts = w.shape[0], n = w.shape[1], k = w.shape[2], pairs = call.output.shape.elements() / k;
    const core::Tensor x = formats::view(*call.inputs[0].format, {pairs, n}, call.inputs[0].data), output = formats::view(*call.output.format, {pairs, k}, call.output.data);
    for (std::int64_t p = 0; p < pairs; ++p) {
        const std::int64_t e = call.input(2) ? call.inputs[2].row_i32(0)[p] : p % experts;
        std::vector<double> y(static_cast<std::size_t>(k));
        for (std::int64_t j = 0; j < n; ++j) {
            const std::vector<double> weights = row_as_double(w, e * n + j);
            for (std::size_t i = 0; i < weights.size(); ++i) y[i] += static_cast<double>(x.row_f32(p)[j]) * weights[i];
        }
        store_row(output, p, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements()) * static_cast<double>(node.inputs[1].shape[2])); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const char* const format : {"f32", "f16", "q8_0", "q4_k"})
        for (const core::Layout layout : {core::Layout::rows, core::Layout::panels})
            for (const std::int64_t rows : {1, 40}) {
                const TensorType w{&formats::get(format), {5, 20, 256}, layout};
                list.push_back({.inputs = {f32({rows, 20}), w, i32({rows})}, .index_limit = 4});  // expert 4 serves no one
                list.push_back({.inputs = {f32({rows, 100}), w}});
            }
    list.push_back({.inputs = {f32({7, 2 * 33}), f32({2, 33, 37})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const Value ids = d.input(2) < 0 ? -1 : reshaped(d.graph, d.input(2), {d.shape(2).elements(), 1});
    return {d.wants(0) ? d.graph.add("expert_matmul", {d.gradient, d.input(1), ids}) : -1,
            d.wants(1) ? d.graph.add("expert_weight_gradient", {d.input(0), d.gradient, d.input(2)}, {{"experts", d.shape(1)[0]}}) : -1, -1};
}

static const Kernel kernels[] = {{.name = "gathered", .doc = "one product per expert with the rows it has", .run = {{&run}}}};

}  // namespace tailor::ops::expert_matmul_transposed_kernels

namespace tailor::ops::entries {
extern const Op expert_matmul_transposed = {
    .name = "expert_matmul_transposed",
    .doc = "x [rows, n], weight [experts, n, k] of any format, optional ids i32 of `rows` values -> [rows, k]: x[r] weight[ids[r]]; without ids "
           "x [rows, experts * n] -> [rows, experts * k], part j of each row by expert j",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &expert_matmul_transposed_kernels::shape,
    .reference = &expert_matmul_transposed_kernels::reference,
    .kernels = expert_matmul_transposed_kernels::kernels,
    .cost = &expert_matmul_transposed_kernels::cost,
    .scratch_bytes = &expert_matmul_transposed_kernels::scratch_bytes,
    .panel_inputs = 2,
    .cases = &expert_matmul_transposed_kernels::cases,
    .gradient = &expert_matmul_transposed_kernels::gradient,
};
}  // namespace tailor::ops::entries
