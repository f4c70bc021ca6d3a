// Dot: each row of x times one vector, y[r] = sum over i of x[r, i] w[i].
//
// A router of one expert: Qwen2-MoE's gate of the shared expert keeps its weight as a vector.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/gradients.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/dot.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::dot_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float multiply(const float* x, const float* w, std::int64_t width) noexcept {
    Vector total = {};
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) total = fused(load(x + i), load(w + i), total);
    float tail = 0;
    for (; i < width; ++i) tail += x[i] * w[i];
    return sum(total) + tail;
}

static void run(const Call& call) noexcept {
    const core::Tensor& x = call.inputs[0];
    const std::int64_t rows = x.shape.rows(), width = x.shape.width(), chunk = rows_per_chunk(width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) call.output.row_f32(r)[0] = multiply(x.row_f32(r), call.inputs[1].row_f32(0), width);
    });
}

}  // namespace tailor::ops::dot_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::dot_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[1].shape == core::Shape({node.inputs[0].shape.width()}), "dot: the weight must be a vector with one value per column", node);
    return f32({node.inputs[0].shape.rows(), 1});
}

static void reference(const Call& call) {
    const std::vector<double> w = row_as_double(call.inputs[1], 0);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        double total = 0;
        for (std::size_t i = 0; i < x.size(); ++i) total += x[i] * w[i];
        store_row(call.output, r, {total});
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 130})
        for (const std::int64_t width : {1, 37, 512}) list.push_back({.inputs = {f32({rows, width}), f32({width})}});
    return list;
}

// A product with a weight of one row.
static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t width = d.shape(0).width();
    return {d.wants(0) ? d.graph.add("matmul_transposed", {d.gradient, reshaped(d.graph, d.input(1), {1, width})}) : -1,
            d.wants(1) ? d.graph.add("weight_gradient", {d.gradient, d.input(0)}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::dot_kernels

namespace tailor::ops::entries {
extern const Op dot = {
    .name = "dot",
    .doc = "x [rows, width], weight [width] -> [rows, 1]: x weight",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &dot_kernels::shape,
    .reference = &dot_kernels::reference,
    .kernels = dot_kernels::kernels,
    .cost = &dot_kernels::cost,
    .cases = &dot_kernels::cases,
    .gradient = &dot_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
