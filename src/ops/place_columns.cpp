// Place columns: the columns of each group put at their place in wider groups of zeros; what `columns` took apart, put back.
//
// The transpose of `columns`, and therefore its gradient: columns that were not taken do not move the result.
#include <algorithm>
#include <cstring>

#include "ops/support.h"

namespace tailor::ops::place_columns_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const std::int64_t groups = node.attributes.integer("groups", 1), begin = node.attributes.integer("begin"), width = node.attributes.integer("width");
    require(groups > 0 && node.inputs[0].shape.width() % groups == 0, core::format("place_columns: the width is no multiple of {} groups", groups), node);
    const std::int64_t count = node.inputs[0].shape.width() / groups;
    require(begin >= 0 && count <= width && begin <= width - count, core::format("place_columns: {} from {} on do not lie within {}", count, begin, width), node);
    return f32({node.inputs[0].shape.rows(), groups * width});
}

static void run(const Call& call) noexcept {
    const std::int64_t groups = call.attributes.integer("groups", 1), begin = call.attributes.integer("begin"), rows = call.output.shape.rows();
    const std::int64_t width = call.output.shape.width() / groups, count = call.inputs[0].shape.width() / groups, chunk = rows_per_chunk(groups * width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            float* const y = call.output.row_f32(r);
            std::memset(y, 0, static_cast<std::size_t>(groups * width) * sizeof(float));
            for (std::int64_t g = 0; g < groups; ++g)
                std::memcpy(y + g * width + begin, call.inputs[0].row_f32(r) + g * count, static_cast<std::size_t>(count) * sizeof(float));
        }
    });
}

static void reference(const Call& call) {
    const std::int64_t groups = call.attributes.integer("groups", 1), begin = call.attributes.integer("begin");
    const std::int64_t width = call.output.shape.width() / groups, count = call.inputs[0].shape.width() / groups;
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y(static_cast<std::size_t>(groups * width));
        for (std::int64_t i = 0; i < groups * count; ++i) y[static_cast<std::size_t>(i / count * width + begin + i % count)] = x[static_cast<std::size_t>(i)];
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 0); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 70})
        for (const std::int64_t groups : {1, 7})
            list.push_back({.inputs = {f32({rows, groups * 60})},
                            .attributes = {{"begin", std::int64_t{11}}, {"width", std::int64_t{900}}, {"groups", groups}},
                            .tolerance = 0});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t groups = d.attributes.integer("groups", 1);
    return {d.graph.add("columns", {d.gradient}, {{"begin", d.attributes.integer("begin")}, {"count", d.shape(0).width() / groups}, {"groups", groups}})};
}

static const Kernel kernels[] = {{.name = "copy", .doc = "copies each row's parts into zeros", .run = {{&run}}}};

}  // namespace tailor::ops::place_columns_kernels

namespace tailor::ops::entries {
extern const Op place_columns = {
    .name = "place_columns",
    .doc = "x [rows, groups * count], attributes begin, width and groups (1) -> [rows, groups * width]: columns begin to begin + count of each group, zeros around",
    .shape = &place_columns_kernels::shape,
    .reference = &place_columns_kernels::reference,
    .kernels = place_columns_kernels::kernels,
    .cost = &place_columns_kernels::cost,
    .cases = &place_columns_kernels::cases,
    .gradient = &place_columns_kernels::gradient,
};
}  // namespace tailor::ops::entries
