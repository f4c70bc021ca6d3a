// Scale: x times a constant, times a number of the file, plus a bias per column.
//
// Families multiply embeddings, residual branches and logits by constants (Granite, MiniCPM, Gemma); ternary models keep the
// one scale of a weight matrix beside it as a tensor, to be applied to the product: y = (x W^T) s + b (BitNet b1.58, 2024).
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/scale.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::scale_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* x, const float* bias, float factor, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector product = load(x + i) * factor;
        store(y + i, bias ? product + load(bias + i) : product);
    }
    for (; i < count; ++i) y[i] = x[i] * factor + (bias ? bias[i] : 0.0f);
}

static void run(const Call& call) noexcept {
    const core::Tensor *const scale = call.input(1), *const bias = call.input(2);
    const auto factor = static_cast<float>(call.attributes.real("factor", 1) * (scale ? static_cast<double>(scale->row_f32(0)[0]) : 1));
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, bias ? bias->row_f32(0) + begin : nullptr, factor, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::scale_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::scale_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    if (node.input(1)) {
        require_f32(node, 1);
        require(node.inputs[1].shape.elements() == 1, "scale: the scale must be one number", node);
    }
    if (node.input(2)) {
        require_f32(node, 2);
        require(node.inputs[2].shape.elements() == node.inputs[0].shape.width(), "scale: the bias must have one value per column", node);
    }
    return node.inputs[0];
}

static void reference(const Call& call) {
    const double factor = call.attributes.real("factor", 1) * (call.input(1) ? static_cast<double>(call.input(1)->row_f32(0)[0]) : 1);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (std::size_t i = 0; i < a.size(); ++i) a[i] = a[i] * factor + (call.input(2) ? static_cast<double>(call.input(2)->row_f32(0)[i]) : 0);
        store_row(call.output, r, a);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t width : {1, 37, 5000})
        for (const bool with_scale : {false, true})
            for (const bool with_bias : {false, true})
                list.push_back({.inputs = {f32({3, width}), with_scale ? f32({1}) : TensorType{}, with_bias ? f32({width}) : TensorType{}},
                                .attributes = {{"factor", 0.3}}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const Attributes factor{{"factor", d.attributes.real("factor", 1)}};
    std::vector<Value> result(3, -1);
    if (d.wants(0)) result[0] = d.graph.add("scale", {d.gradient, d.input(1)}, factor);
    if (d.wants(1)) result[1] = d.graph.add("scale", {d.graph.add("row_dot", {d.graph.add("column_sum", {d.gradient, d.input(0)})})}, factor);
    if (d.wants(2)) result[2] = d.graph.add("column_sum", {d.gradient});
    return result;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::scale_kernels

namespace tailor::ops::entries {
extern const Op scale = {
    .name = "scale",
    .doc = "x [rows, width], optional scale [1], optional bias [width], attribute factor (1) -> [rows, width]: x * factor * scale + bias",
    .least_inputs = 1,
    .most_inputs = 3,
    .shape = &scale_kernels::shape,
    .reference = &scale_kernels::reference,
    .kernels = scale_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &scale_kernels::cases,
    .gradient = &scale_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
