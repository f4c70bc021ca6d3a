// Lerp: from x towards y by a weight per column, or per row and column: x + (y - x) * weight.
//
// RWKV mixes each row with the one before it so, ahead of every projection (Peng et al., 2023, equation 11; with weights that
// depend on the input: Finch, 2024, equation 16), and its layers' values with those of the first (Goose, 2025).
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"
#include "ops/gradients.h"

#define TAILOR_THIS_FILE "ops/lerp.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::lerp_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* x, const float* y, const float* weight, float* to, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector from = load(x + i);
        store(to + i, fused(load(y + i) - from, load(weight + i), from));
    }
    for (; i < count; ++i) to[i] = x[i] + (y[i] - x[i]) * weight[i];
}

static void run(const Call& call) noexcept {
    const core::Tensor& weight = call.inputs[2];
    const bool per_row = weight.shape.rows() == call.output.shape.rows() && weight.shape.elements() == call.output.shape.elements();
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, weight.row_f32(per_row ? r : 0) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::lerp_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::lerp_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 3; ++i) require_f32(node, i);
    const core::Shape &x = node.inputs[0].shape, &weight = node.inputs[2].shape;
    require(node.inputs[1].shape == x, "lerp: both ends must have one shape", node);
    require(weight.width() == x.width() && (weight.rows() == 1 || weight.rows() == x.rows()), "lerp: the weight must be [width] or [rows, width]", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const core::Tensor& weight = call.inputs[2];
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        const std::vector<double> y = row_as_double(call.inputs[1], r), w = row_as_double(weight, weight.shape.rows() == 1 ? 0 : r);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += (y[i] - x[i]) * w[i];
        store_row(call.output, r, x);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list = elementwise_cases<3>();
    for (const std::int64_t width : {1, 37, 5000}) list.push_back({.inputs = {f32({3, width}), f32({3, width}), f32({width})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const bool per_row = d.shape(2).rows() == d.shape(0).rows();
    std::vector<Value> result(3, -1);
    const Value back = d.wants(0) || d.wants(1) ? d.graph.add(per_row ? "multiply" : "column_scale", {d.gradient, per_row ? reshaped(d.graph, d.input(2), d.shape(0)) : d.input(2)}) : -1;
    if (d.wants(0)) result[0] = d.graph.add("add", {d.gradient, scaled(d.graph, back, -1)});
    if (d.wants(1)) result[1] = back;
    if (!d.wants(2)) return result;
    const Value difference = d.graph.add("add", {d.input(1), scaled(d.graph, d.input(0), -1)});
    result[2] = d.graph.add(per_row ? "multiply" : "column_sum", {d.gradient, difference});
    return result;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::lerp_kernels

namespace tailor::ops::entries {
extern const Op lerp = {
    .name = "lerp",
    .doc = "x, y [rows, width], weight [width] or [rows, width] -> [rows, width]: x + (y - x) * weight",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &lerp_kernels::shape,
    .reference = &lerp_kernels::reference,
    .kernels = lerp_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &lerp_kernels::cases,
    .gradient = &lerp_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
