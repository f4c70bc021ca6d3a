// The recurrent product and the shared rules of gated cells; see ops/cells.h.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/cells.h"

#define TAILOR_THIS_FILE "ops/registry/cells.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::cell_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float dot(const float* a, const float* b, std::int64_t count) noexcept {
    Vector sums[4] = {};
    std::int64_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes)
        for (int u = 0; u < 4; ++u) sums[u] = fused(load(a + i + u * lanes), load(b + i + u * lanes), sums[u]);
    for (; i + lanes <= count; i += lanes) sums[0] = fused(load(a + i), load(b + i), sums[0]);
    float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; i < count; ++i) total += a[i] * b[i];
    return total;
}

static void multiply(const Call& call, const float* h, std::int64_t first, std::int64_t count, std::int64_t width, float* to) noexcept {
    const core::Tensor& weights = call.inputs[1];
    const std::int64_t head = weights.shape.width(), chunk = rows_per_chunk(head);
    call.pool->run((count + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t j = c * chunk; j < std::min(count, (c + 1) * chunk); ++j)
            to[j] = dot(weights.row_f32(first + j), h + (first + j) % width / head * head, head);
    });
}

}  // namespace tailor::ops::cell_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops {

namespace cell_kernels {
static constexpr cpu::PerIsa<RecurrentProduct> multiply_at = TAILOR_EACH_ISA(multiply);
}
const cpu::PerIsa<RecurrentProduct> recurrent_product = cell_kernels::multiply_at;

TensorType cell_type(const NodeView& node, std::int64_t gates) {
    require_f32(node, 0);
    require_f32(node, 1);
    const core::Shape &x = node.inputs[0].shape, &weights = node.inputs[1].shape;
    require(x.width() % gates == 0, core::format("a cell of {} gates needs as many equal parts in x", gates), node);
    const std::int64_t width = x.width() / gates;
    require(weights.rank() == 2 && weights[0] == x.width() && width % weights[1] == 0, "the recurrent weights must be [gates * width, width / heads]", node);
    if (node.input(2)) require_f32(node, 2), require(node.inputs[2].shape.elements() == width, "the recurrent bias must have one value per unit", node);
    return f32({x.rows(), width});
}

std::vector<StateType> cell_states(const NodeView& node, std::int64_t gates, std::initializer_list<std::string_view> names) {
    std::vector<StateType> states;
    for (const std::string_view name : names) states.push_back({name, {1, node.inputs[0].shape.width() / gates}, &formats::get("f32")});
    return states;
}

std::int64_t cell_scratch_bytes(const NodeView& node) { return 2 * node.inputs[0].shape.width() * static_cast<std::int64_t>(sizeof(float)); }

Cost cell_cost(const NodeView& node) {
    const auto rows = static_cast<double>(node.inputs[0].shape.rows());
    return streaming_cost(node, 2 * rows * static_cast<double>(node.inputs[1].shape.elements()));
}

std::vector<Case> cell_cases(std::int64_t gates, bool bias) {
    std::vector<Case> list;
    for (const auto& [heads, head] : {std::pair<std::int64_t, std::int64_t>{1, 2}, {1, 37}, {4, 16}, {2, 130}})
        for (const std::int64_t rows : {1, 3, 21})
            for (const std::int64_t past : {0, 6}) {
                const std::int64_t width = heads * head;
                list.push_back({.inputs = {f32({rows, gates * width}), f32({gates * width, head}), bias ? f32({width}) : TensorType{}},
                                .past = past,
                                .tolerance = 1e-4,  // rounding grows through the gates from row to row
                                .confine = [](std::span<const core::Tensor> inputs) {
                                    // Weights of a trained cell's size: with larger ones its trajectories are chaotic.
                                    const float size = 0.5f / std::sqrt(static_cast<float>(inputs[1].shape.width()));
                                    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] = size * std::tanh(inputs[1].row_f32(0)[i]);
                                }});
            }
    return list;
}

std::vector<double> reference_product(const Call& call, const std::vector<double>& h, std::int64_t first, std::int64_t count) {
    const core::Tensor& weights = call.inputs[1];
    const std::int64_t head = weights.shape.width(), width = static_cast<std::int64_t>(h.size());
    std::vector<double> to(static_cast<std::size_t>(count));
    for (std::int64_t j = 0; j < count; ++j)
        for (std::int64_t i = 0; i < head; ++i)
            to[static_cast<std::size_t>(j)] += static_cast<double>(weights.row_f32(first + j)[i]) * h[static_cast<std::size_t>((first + j) % width / head * head + i)];
    return to;
}

std::vector<double> reference_state(const Call& call, std::size_t i, std::int64_t r) {
    const float* const state = cell_state(call, i, r);
    return {state, state + call.output.shape.width()};
}

void store_state(const Call& call, std::size_t i, std::int64_t r, const std::vector<double>& values) {
    for (std::size_t j = 0; j < values.size(); ++j) cell_state(call, i, r)[j] = static_cast<float>(values[j]);
}

}  // namespace tailor::ops
#endif
