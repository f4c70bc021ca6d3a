// What the normalizing operators share: columns in groups (the whole row, or one head each), and the weights of a group.
#pragma once
#include "ops/support.h"

namespace tailor::ops {

/// Width of the groups that are normalized by themselves: attribute "group", or the whole row.
inline std::int64_t norm_group(const Attributes& attributes, std::int64_t width) {
    const std::int64_t group = attributes.integer("group", 0);
    return group > 0 ? group : width;
}

/// Input 0 is f32; inputs 1 to `last` are absent or hold one value per column of a group, or of the row.
inline TensorType norm_shape(const NodeView& node, std::size_t last) {
    require_f32(node, 0);
    const std::int64_t width = node.inputs[0].shape.width(), group = norm_group(node.attributes, width);
    require(width % group == 0, core::format("{} columns are no whole number of groups of {}", width, group), node);
    for (std::size_t i = 1; i <= last; ++i)
        if (node.input(i)) {
            require_f32(node, i);
            const std::int64_t values = node.inputs[i].shape.elements();
            require(values == group || values == width, core::format("a norm of groups of {} in {} columns cannot use {} weights", group, width, values), node);
        }
    return node.inputs[0];
}

/// Columns from one group's weights to the next's: 0 if all groups share them.
inline std::int64_t norm_weight_step(const core::Tensor& weight, std::int64_t width, std::int64_t group) {
    return weight.shape.elements() == width ? group : 0;
}

/// The weights of the group that begins at column `begin`; null where there are none.
inline const float* norm_weights(const core::Tensor* weight, std::int64_t begin, std::int64_t width) {
    return weight ? weight->row_f32(0) + (weight->shape.elements() == width ? begin : 0) : nullptr;
}

/// Calls body(row, begin, group) for every group of every row, the first column of which is `begin`; rows are shared between threads.
template <class Body>
void for_each_norm_group(const Call& call, const Body& body) {
    const std::int64_t width = call.output.shape.width(), rows = call.output.shape.rows(), chunk = rows_per_chunk(width), group = norm_group(call.attributes, width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            for (std::int64_t begin = 0; begin < width; begin += group) body(r, begin, group);
    });
}

/// Cases of one to `inputs` inputs: whole rows, groups that share weights, groups with weights of their own.
inline std::vector<Case> norm_cases(std::size_t inputs) {
    std::vector<Case> list;
    using Widths = std::array<std::int64_t, 3>;  // columns, group, weights
    for (const auto& [width, group, weights] : {Widths{1, 1, 1}, {7, 7, 7}, {64, 64, 64}, {100, 100, 100}, {2048, 2048, 2048},  // whole rows
                                                {96, 24, 24}, {33, 11, 11}, {96, 24, 96}})
        for (const std::int64_t rows : {1, 3, 130})
            for (std::size_t given = 1; given <= inputs; ++given) {
                std::vector<TensorType> types{f32({rows, width})};
                for (std::size_t i = 1; i < given; ++i) types.push_back(f32({weights}));
                list.push_back({.inputs = types, .attributes = {{"epsilon", 1e-5}, {"group", group}}});
            }
    return list;
}

/// Of the operators that give the gradient of x: x, gradient, optional weight.
inline TensorType norm_gradient_shape(const NodeView& node) {
    require_f32(node, 1);
    require(node.inputs[1].shape == node.inputs[0].shape, "the gradient of a norm must have the shape of x", node);
    return norm_shape({node.attributes, std::vector<TensorType>{node.inputs[0], node.input(2)}, {}}, 1);
}

/// norm_cases of x and its gradient, with and without weights.
inline std::vector<Case> norm_gradient_cases() {
    std::vector<Case> list = norm_cases(2);
    for (Case& c : list) {
        c.inputs.insert(c.inputs.begin() + 1, c.inputs[0]);
        // The norm of one value is its sign, less a hundred thousandth: nothing but rounding is left of its derivative.
        if (c.attributes.integer("group") == 1) c.attributes.set("epsilon", 0.5);
    }
    return list;
}

/// The gradient of weights, or of a bias without `normalized`, which all rows and perhaps all groups share.
inline Value norm_weight_gradient(const Differentiation& d, std::size_t input, Value normalized) {
    const std::int64_t width = d.shape(0).width(), values = d.shape(input).elements();
    const Value sums = d.graph.add("column_sum", {d.gradient, normalized});
    return values == width ? sums : d.graph.add("group_sum", {sums}, {{"groups", width / values}});
}

/// The rule of rms_norm and layer_norm, which differ in names.
inline std::vector<Value> norm_gradient(const Differentiation& d, std::string_view norm, std::string_view norm_gradient) {
    std::vector<Value> result(3, -1);
    if (d.wants(0)) result[0] = d.graph.add(norm_gradient, {d.input(0), d.gradient, d.input(1)}, d.attributes);
    if (d.wants(1)) result[1] = norm_weight_gradient(d, 1, d.graph.add(norm, {d.input(0)}, d.attributes));
    if (d.wants(2)) result[2] = norm_weight_gradient(d, 2, -1);
    return result;
}

}  // namespace tailor::ops
