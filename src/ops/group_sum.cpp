// Group sum: the groups of columns of each row added up, y[r, i] = sum over g of x[r, g * width + i].
//
// The gradient of numbers that several groups of columns (heads) share: a norm's weights, a key that all heads read.
#include <algorithm>

#include "ops/support.h"

namespace tailor::ops::group_sum_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const std::int64_t groups = node.attributes.integer("groups"), width = node.inputs[0].shape.width();
    require(groups > 0 && width % groups == 0, core::format("group_sum: {} columns are no {} equal groups", width, groups), node);
    return f32({node.inputs[0].shape.rows(), width / groups});
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.output.shape.rows(), width = call.output.shape.width(), groups = call.attributes.integer("groups"), chunk = rows_per_chunk(width * groups);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            const float* const x = call.inputs[0].row_f32(r);
            float* const y = call.output.row_f32(r);
            std::copy(x, x + width, y);
            for (std::int64_t g = 1; g < groups; ++g)
                for (std::int64_t i = 0; i < width; ++i) y[i] += x[g * width + i];
        }
    });
}

static void reference(const Call& call) {
    const auto width = static_cast<std::size_t>(call.output.shape.width());
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y(width);
        for (std::size_t i = 0; i < x.size(); ++i) y[i % width] += x[i];
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 130})
        for (const std::int64_t width : {1, 24})
            for (const std::int64_t groups : {1, 5, 32}) list.push_back({.inputs = {f32({rows, groups * width})}, .attributes = {{"groups", groups}}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    // Every group gets the gradient: copies of the row, one below the other, are the groups side by side.
    const std::int64_t groups = d.attributes.integer("groups"), rows = d.shape(0).rows(), width = d.shape(0).width() / groups;
    const Value copies = d.graph.add("expert_scale", {d.gradient, d.graph.filled({rows, groups}, 1)});
    return {d.graph.add("reshape", {copies}, {{"rank", std::int64_t{2}}, {"dimension_0", rows}, {"dimension_1", groups * width}})};
}

static const Kernel kernels[] = {{.name = "rows", .doc = "one group after the other onto the first", .run = {{&run}}}};

}  // namespace tailor::ops::group_sum_kernels

namespace tailor::ops::entries {
extern const Op group_sum = {
    .name = "group_sum",
    .doc = "x [rows, groups * width], attribute groups -> [rows, width]: the sum over groups",
    .shape = &group_sum_kernels::shape,
    .reference = &group_sum_kernels::reference,
    .kernels = group_sum_kernels::kernels,
    .cost = &group_sum_kernels::cost,
    .cases = &group_sum_kernels::cases,
    .gradient = &group_sum_kernels::gradient,
};
}  // namespace tailor::ops::entries
