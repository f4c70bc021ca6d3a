// Scatter add: rows added up at the places that ids name, y[j] = sum of x[r] over the rows r with ids[r] = j.
//
// The transpose of `gather`, and therefore the gradient of a table of embeddings, and of biases per expert. A unit of work is a
// range of columns that meets all rows in order, so no two threads write the same number and sums have one order.
#include <algorithm>
#include <cstring>

#include "ops/support.h"

namespace tailor::ops::scatter_add_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.elements() == node.inputs[0].shape.rows(), "scatter_add: one i32 id per row is needed", node);
    require(node.attributes.integer("rows") > 0, "scatter_add: the result needs rows", node);
    return f32({node.attributes.integer("rows"), node.inputs[0].shape.width()});
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const std::int32_t* const ids = call.inputs[1].row_i32(0);
    // 64 columns are four lines of a row: enough that a line is not fetched for little.
    constexpr std::int64_t unit_columns = 64;
    const std::int64_t width = y.shape.width();
    call.pool->run((width + unit_columns - 1) / unit_columns, [&](std::int64_t c, int) {
        const std::int64_t begin = c * unit_columns, count = std::min(unit_columns, width - begin);
        for (std::int64_t j = 0; j < y.shape.rows(); ++j) std::memset(y.row_f32(j) + begin, 0, static_cast<std::size_t>(count) * sizeof(float));
        for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
            const float* const from = x.row_f32(r) + begin;
            float* const to = y.row_f32(ids[r]) + begin;
            for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
        }
    });
}

static void reference(const Call& call) {
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(call.output.shape.rows()), std::vector<double>(static_cast<std::size_t>(call.output.shape.width())));
    for (std::int64_t r = 0; r < call.inputs[0].shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double>& to = sums[static_cast<std::size_t>(call.inputs[1].row_i32(0)[r])];
        for (std::size_t i = 0; i < x.size(); ++i) to[i] += x[i];
    }
    for (std::size_t j = 0; j < sums.size(); ++j) store_row(call.output, static_cast<std::int64_t>(j), sums[j]);
}

static Cost cost(const NodeView& node) { return streaming_cost(node, static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 90})
        for (const std::int64_t width : {1, 37, 200}) list.push_back({.inputs = {f32({rows, width}), i32({rows})}, .attributes = {{"rows", std::int64_t{19}}}, .index_limit = 19});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    Value ids = d.input(1);
    const std::int64_t count = d.shape(1).elements();
    if (d.shape(1).rank() != 1) ids = d.graph.add("reshape", {ids}, {{"rank", std::int64_t{1}}, {"dimension_0", count}});
    return {d.graph.add("gather", {d.gradient, ids}), -1};
}

static const Kernel kernels[] = {{.name = "columns", .doc = "64 columns of all rows at a time", .run = {{&run}}}};

}  // namespace tailor::ops::scatter_add_kernels

namespace tailor::ops::entries {
extern const Op scatter_add = {
    .name = "scatter_add",
    .doc = "x [m, width], ids i32 of m values, attribute rows -> [rows, width]: row j is the sum of the rows r of x with ids[r] = j",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &scatter_add_kernels::shape,
    .reference = &scatter_add_kernels::reference,
    .kernels = scatter_add_kernels::kernels,
    .cost = &scatter_add_kernels::cost,
    .cases = &scatter_add_kernels::cases,
    .gradient = &scatter_add_kernels::gradient,
};
}  // namespace tailor::ops::entries
