// Grouped matmul: a block-diagonal product, each group of columns times a matrix of its own.
//
//     y[:, g] = x[:, g] W[g]^T + bias[g]
// The low-rank mixers of RWKV-6 are five such products of a narrow x (Peng et al., "Eagle and Finch", 2024, equation 14), kept as
// one tensor [groups, n, k]. The weights are read once: sixteen rows of a matrix at a time are decoded, transposed, and multiplied with
// all rows of x, four of them in registers.
#include <algorithm>
#include <utility>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/grouped_matmul.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::grouped_matmul_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"

constexpr std::int64_t panel = 16, most_k = 512;
constexpr int panel_vectors = static_cast<int>(panel) / lanes;

/// R rows of x times a panel of weights [k][panel].
template <int R>
static void multiply(const Call& call, const float* panel_weights, std::int64_t row, std::int64_t from, std::int64_t k, std::int64_t column, std::int64_t count) noexcept {
    Vector sums[R][panel_vectors] = {};
    for (std::int64_t i = 0; i < k; ++i)
        for (int v = 0; v < panel_vectors; ++v) {
            const Vector weight = load(panel_weights + i * panel + v * lanes);
            for (int r = 0; r < R; ++r) sums[r][v] = fused(weight, broadcast(call.inputs[0].row_f32(row + r)[from + i]), sums[r][v]);
        }
    for (int r = 0; r < R; ++r) {
        float out[panel];
        for (int v = 0; v < panel_vectors; ++v) store(out + v * lanes, sums[r][v]);
        float* const y = call.output.row_f32(row + r) + column;
        for (std::int64_t j = 0; j < count; ++j) y[j] = out[j] + (call.input(2) ? call.input(2)->row_f32(0)[column + j] : 0.0f);
    }
}

/// Panel `p` of group `g` for all rows.
static void run_panel(const Call& call, std::int64_t g, std::int64_t p) noexcept {
    const core::Tensor &x = call.inputs[0], &w = call.inputs[1];
    const std::int64_t n = w.shape[1], k = w.shape[2], count = std::min(panel, n - p * panel), depth = (k + panel - 1) / panel * panel, rows = x.shape.rows();
    alignas(64) float rows_of_weights[panel * most_k] = {}, columns[panel * most_k];
    const formats::Decode decode = w.format->decode.at(call.isa);
    for (std::int64_t j = 0; j < count; ++j) decode(w.row(g * n + p * panel + j), rows_of_weights + j * depth, k);
    transpose_into(rows_of_weights, depth, columns, panel, panel, depth);
    std::int64_t r = 0;
    for (; r + 4 <= rows; r += 4) multiply<4>(call, columns, r, g * k, k, g * n + p * panel, count);
    for (; r < rows; ++r) multiply<1>(call, columns, r, g * k, k, g * n + p * panel, count);
}

static void run(const Call& call) noexcept {
    const std::int64_t groups = call.inputs[1].shape[0], panels = (call.inputs[1].shape[1] + panel - 1) / panel;
    call.pool->run(groups * panels, [&](std::int64_t c, int) { run_panel(call, c / panels, c % panels); });
}

}  // namespace tailor::ops::grouped_matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::grouped_matmul_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const core::Shape &x = node.inputs[0].shape, &w = node.inputs[1].shape;
    require(w.rank() == 3 && node.inputs[1].format->weights, "grouped_matmul: the weight must be [groups, n, k]", node);
    require(x.width() == w[0] * w[2], "grouped_matmul: x must be [rows, groups * k]", node);
    require(w[2] <= base::most_k, core::format("grouped_matmul: groups of up to {} columns are supported, here are {}", base::most_k, w[2]), node);
    if (node.input(2)) require_f32(node, 2), require(node.inputs[2].shape.elements() == w[0] * w[1], "grouped_matmul: the bias must have one value per column", node);
    return f32({x.rows(), w[0] * w[1]});
}

static void reference(const Call& call) {
    const core::Shape& w = call.inputs[1].shape;
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        for (std::int64_t j = 0; j < w[0] * w[1]; ++j) {
            const std::vector<double> weights = row_as_double(call.inputs[1], j);
            double total = call.input(2) ? static_cast<double>(call.input(2)->row_f32(0)[j]) : 0.0;
            for (std::int64_t i = 0; i < w[2]; ++i) total += x[static_cast<std::size_t>(j / w[1] * w[2] + i)] * weights[static_cast<std::size_t>(i)];
            call.output.row_f32(r)[j] = static_cast<float>(total);
        }
    }
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[1].shape[2]));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const char* const format : {"f32", "f16", "q8_0"})
        for (const auto& [groups, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 70}, {3, 16}})
            for (const std::int64_t rows : {1, 7, 33})
                list.push_back({.inputs = {f32({rows, groups * 32}), of(format, {groups, n, 32}), rows == 7 ? f32({groups * n}) : TensorType{}}});
    list.push_back({.inputs = {f32({3, 2 * 37}), of("f32", {2, 20, 37})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("expert_matmul_transposed", {d.gradient, d.input(1)}) : -1,
            d.wants(1) ? d.graph.add("expert_weight_gradient", {d.gradient, d.input(0)}, {{"experts", d.shape(1)[0]}}) : -1, d.wants(2) ? d.graph.add("column_sum", {d.gradient}) : -1};
}

static const Kernel kernels[] = {{.name = "panels", .doc = "16 weight rows decoded and transposed at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::grouped_matmul_kernels

namespace tailor::ops::entries {
extern const Op grouped_matmul = {
    .name = "grouped_matmul",
    .doc = "x [rows, groups * k], weight [groups, n, k] of any format, optional bias [groups * n] -> [rows, groups * n]: x[:, g] W[g]^T + bias[g]",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &grouped_matmul_kernels::shape,
    .reference = &grouped_matmul_kernels::reference,
    .kernels = grouped_matmul_kernels::kernels,
    .cost = &grouped_matmul_kernels::cost,
    .cases = &grouped_matmul_kernels::cases,
    .gradient = &grouped_matmul_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
