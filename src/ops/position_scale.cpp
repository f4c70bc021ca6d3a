// Position scale: rows grow with the logarithm of their position,
//     y[r] = x[r] * (1 + factor * ln(1 + floor((p[r] + 1) / length)))
//
// Attention over a long context spreads thinner than it was trained for; queries of later positions are therefore scaled, which
// sharpens the softmax: Nakanishi, "Scalable-Softmax", 2025, in the form of Llama 4, whose layers without positions use it.
#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"

namespace tailor::ops::position_scale_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.elements() == node.inputs[0].shape.rows(), "position_scale: one i32 position per row is needed", node);
    require(node.attributes.integer("length") > 0, "position_scale: the length must be positive", node);
    return node.inputs[0];
}

static double scale_of(const Attributes& attributes, std::int32_t position) noexcept {
    const auto periods = static_cast<double>((std::int64_t{position} + 1) / attributes.integer("length"));
    return 1 + attributes.real("factor") * std::log(1 + periods);
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        const auto scale = static_cast<float>(scale_of(call.attributes, call.inputs[1].row_i32(0)[r]));
        for (std::int64_t i = begin; i < end; ++i) call.output.row_f32(r)[i] = call.inputs[0].row_f32(r)[i] * scale;
    });
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (double& v : x) v *= scale_of(call.attributes, call.inputs[1].row_i32(0)[r]);
        store_row(call.output, r, x);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 40})
        list.push_back({.inputs = {f32({rows, 50}), i32({rows})}, .attributes = {{"length", std::int64_t{8}}, {"factor", 0.1}}, .index_limit = 100});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("position_scale", {d.gradient, d.input(1)}, d.attributes), -1}; }

static const Kernel kernels[] = {{.name = "rows", .doc = "one logarithm per row", .run = {{&run}}}};

}  // namespace tailor::ops::position_scale_kernels

namespace tailor::ops::entries {
extern const Op position_scale = {
    .name = "position_scale",
    .doc = "x [rows, width], positions [rows] i32, attributes length and factor -> x * (1 + factor * ln(1 + floor((position + 1) / length)))",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &position_scale_kernels::shape,
    .reference = &position_scale_kernels::reference,
    .kernels = position_scale_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &position_scale_kernels::cases,
    .gradient = &position_scale_kernels::gradient,
};
}  // namespace tailor::ops::entries
