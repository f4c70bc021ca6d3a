// Matmul: activations times a weight matrix of any number format, y = x W^T + bias.
//
// The weights stay packed; every kernel decodes them on the way. Activations and sums are f32, so a kernel computes with
// exactly the weights the format holds. New kernels (packed layouts, tiles, int8 activations) enter the list below in
// front of the ones they beat and say in `declines` what they cannot do.
#include "ops/matmul/kernels.h"
#include "ops/support.h"

namespace tailor::ops::matmul_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const TensorType &x = node.inputs[0], &w = node.inputs[1];
    require(w.shape.rank() == 2, "matmul: the weight must be a matrix", node);
    require(x.shape.width() == w.shape[1], "matmul: the width of x must be the width of the weight", node);
    require(w.format->weights, "matmul: the weight's format cannot hold weights", node);
    if (node.input(2)) {
        require_f32(node, 2);
        require(node.input(2).shape.elements() == w.shape[0], "matmul: the bias must have one value per weight row", node);
    }
    return f32({x.shape.rows(), w.shape[0]});
}

static void reference(const Call& call) {
    const core::Tensor &x = call.inputs[0], &w = call.inputs[1];
    std::vector<std::vector<double>> rows;
    for (std::int64_t r = 0; r < x.shape.rows(); ++r) rows.push_back(row_as_double(x, r));
    for (std::int64_t j = 0; j < w.shape[0]; ++j) {
        const std::vector<double> weights = row_as_double(w, j);
        for (std::size_t r = 0; r < rows.size(); ++r) {
            double total = call.input(2) ? call.input(2)->row_f32(0)[j] : 0.0;
            for (std::size_t i = 0; i < weights.size(); ++i) total += rows[r][i] * weights[i];
            call.output.row_f32(static_cast<std::int64_t>(r))[j] = static_cast<float>(total);
        }
    }
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[1].shape[1]));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const formats::Format* format : formats::all()) {
        if (!format->weights) continue;
        const std::int64_t block = format->values_per_block;
        for (const std::int64_t rows : {1, 3, 4, 5, 13, 37})
            for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{33, block}, {70, 5 * block + (block == 1 ? 291 : 0)}})
                list.push_back({.inputs = {f32({rows, k}), {format, {n, k}}, rows % 2 ? f32({n}) : TensorType{}}});
    }
    list.push_back({.inputs = {f32({2, 3000}), of("f32", {300, 3000})}});
    list.push_back({.inputs = {f32({130, 700}), of("f32", {1, 700})}});
    return list;
}

static std::string declines_many_rows(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows <= few_rows ? "" : core::format("made for up to {} rows, here are {}", few_rows, rows);
}

static const Kernel kernels[] = {
    {.name = "rows", .doc = "each weight row decoded into cache, dot product with every row of x", .run = row_kernel, .declines = &declines_many_rows},
    {.name = "panels", .doc = "weight panels decoded once, register tiles over all rows of x", .run = panel_kernel},
};

}  // namespace tailor::ops::matmul_kernels

namespace tailor::ops::entries {
extern const Op matmul = {
    .name = "matmul",
    .doc = "x [rows, k], weight [n, k] of any format, optional bias [n] -> [rows, n]: x weight^T + bias",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &matmul_kernels::shape,
    .reference = &matmul_kernels::reference,
    .kernels = matmul_kernels::kernels,
    .cost = &matmul_kernels::cost,
    .cases = &matmul_kernels::cases,
};
}  // namespace tailor::ops::entries
