// Matmul transposed: activations times a weight matrix as it lies, y = x W; the gradient that matmul hands back to its input.
//
// matmul computes x W^T with W [n, k], so the gradient of x is dY W: the sum runs over the rows of W, which are decoded piece by
// piece (ops/product.h). W may have any number format, in rows or in panels: the weights of a frozen, quantized base stay packed
// while what is trained on top of it gets its gradients (Dettmers et al., "QLoRA", 2023).
#include <algorithm>

#include "formats/panels.h"
#include "ops/pair_product.h"
#include "ops/support.h"

namespace tailor::ops::matmul_transposed_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const TensorType &x = node.inputs[0], &w = node.inputs[1];
    require(w.shape.rank() == 2 && x.shape.width() == w.shape[0], "matmul_transposed: the width of x must be the rows of the weight", node);
    require(w.format->weights, "matmul_transposed: the weight's format cannot hold weights", node);
    return f32({x.shape.rows(), w.shape[1]});
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const core::Shape &x = node.inputs[0].shape, &w = node.inputs[1].shape;
    return std::max(product_scratch_bytes(x.rows(), x.width()), pair_scratch_bytes(x.rows(), w[0], w[1]));
}

static Product product(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    return {x.row_f32(0), x.row_stride_bytes / 4, 1, call.inputs[1], y.row_f32(0), y.row_stride_bytes / 4, x.shape.rows()};
}

static void run(const Call& call) noexcept { run_product.at(call.isa)(product(call), *call.pool, call.isa, call.scratch); }

static void run_pairs(const Call& call) noexcept { run_pair_product.at(call.isa)({product(call)}, *call.pool, call.isa, call.scratch); }

static std::string declines_pairs(const NodeView& node) { return declines_pair_product(node.output.shape.rows(), node.inputs[1].shape[0], node.inputs[1].shape[1]); }

static void reference(const Call& call) {
    const std::int64_t n = call.inputs[1].shape[0];
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(call.output.shape.rows()), std::vector<double>(static_cast<std::size_t>(call.output.shape.width())));
    for (std::int64_t j = 0; j < n; ++j) {
        const std::vector<double> weights = row_as_double(call.inputs[1], j);
        for (std::size_t r = 0; r < sums.size(); ++r) {
            const double x = call.inputs[0].row_f32(static_cast<std::int64_t>(r))[j];
            for (std::size_t i = 0; i < weights.size(); ++i) sums[r][i] += x * weights[i];
        }
    }
    for (std::size_t r = 0; r < sums.size(); ++r) store_row(call.output, static_cast<std::int64_t>(r), sums[r]);
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[1].shape[0])); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const formats::Format* format : formats::all())
        for (const core::Layout layout : {core::Layout::rows, core::Layout::panels})
            if (format->weights && (layout == core::Layout::rows || formats::has_panels(*format)))
                for (const std::int64_t rows : {1, 13, 35}) list.push_back({.inputs = {f32({rows, 33}), {format, {33, 3 * std::max<std::int64_t>(32, format->values_per_block)}, layout}}});
    for (const std::int64_t rows : {1, 5, 41, 130})
        for (const std::int64_t k : {1, 37, 300}) list.push_back({.inputs = {f32({rows, 1100}), f32({1100, k})}});
    list.push_back({.inputs = {f32({33, 4200}), f32({4200, 260})}});  // more than pair_stretch()
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("matmul", {d.gradient, d.input(1)}) : -1, d.wants(1) ? d.graph.add("weight_gradient", {d.input(0), d.gradient}) : -1};
}

static const Kernel kernels[] = {
    {.name = "pairs", .doc = "both factors as pairs of bf16, sums in f32", .run = {{nullptr, nullptr, &run_pairs}}, .unit = Unit::vector_bf16, .error = pair_error, .declines = &declines_pairs},
    {.name = "panels", .doc = "pieces of the weight decoded once, register tiles over all rows of x", .run = {{&run}}},
};

}  // namespace tailor::ops::matmul_transposed_kernels

namespace tailor::ops::entries {
extern const Op matmul_transposed = {
    .name = "matmul_transposed",
    .doc = "x [rows, n], weight [n, k] of any format -> [rows, k]: x weight",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &matmul_transposed_kernels::shape,
    .reference = &matmul_transposed_kernels::reference,
    .kernels = matmul_transposed_kernels::kernels,
    .cost = &matmul_transposed_kernels::cost,
    .scratch_bytes = &matmul_transposed_kernels::scratch_bytes,
    .panel_inputs = 2,
    .cases = &matmul_transposed_kernels::cases,
    .gradient = &matmul_transposed_kernels::gradient,
};
}  // namespace tailor::ops::entries
