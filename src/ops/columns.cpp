// Columns: a range of the columns of a matrix, or of each of its equal groups of columns (heads), copied.
//
// Files keep some projections as one matrix (attn_qkv, or ffn_up with the gate); one product of the whole is cheaper than
// several, and its parts are taken apart here. A part is a copy because operators take rows that follow each other closely.
#include <algorithm>
#include <cstring>

#include "ops/elementwise.h"

namespace tailor::ops::columns_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const std::int64_t groups = node.attributes.integer("groups", 1);
    require(groups > 0 && node.inputs[0].shape.width() % groups == 0, core::format("columns: the width is no multiple of {} groups", groups), node);
    const std::int64_t begin = node.attributes.integer("begin"), count = node.attributes.integer("count"), width = node.inputs[0].shape.width() / groups;
    require(begin >= 0 && count > 0 && count <= width && begin <= width - count, core::format("columns: {} from {} on do not lie within {}", count, begin, width), node);
    return f32({node.inputs[0].shape.rows(), groups * count});
}

static void run(const Call& call) noexcept {
    const std::int64_t groups = call.attributes.integer("groups", 1), first = call.attributes.integer("begin");
    const std::int64_t width = call.inputs[0].shape.width() / groups, count = call.output.shape.width() / groups;
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin, next; i < end; i = next) {  // up to the end of the group or of the range
            next = std::min(end, (i / count + 1) * count);
            const float* const source = call.inputs[0].row_f32(r) + i / count * width + first + i % count;
            std::memcpy(call.output.row_f32(r) + i, source, static_cast<std::size_t>(next - i) * sizeof(float));
        }
    });
}

static void reference(const Call& call) {
    const std::int64_t groups = call.attributes.integer("groups", 1), first = call.attributes.integer("begin"), count = call.attributes.integer("count");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y;
        for (std::int64_t g = 0; g < groups; ++g)
            for (std::int64_t i = 0; i < count; ++i) y.push_back(x[static_cast<std::size_t>(g * call.inputs[0].shape.width() / groups + first + i)]);
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) {
    const double bytes = 4 * static_cast<double>(node.output.shape.elements());
    return {.bytes_read = bytes, .bytes_written = bytes};
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [width, begin, count] : {std::array<std::int64_t, 3>{1, 0, 1}, {96, 64, 32}, {9000, 11, 8000}})
        for (const std::int64_t rows : {1, 3, 70}) list.push_back({.inputs = {f32({rows, width})}, .attributes = {{"begin", begin}, {"count", count}}, .tolerance = 0});
    for (const std::int64_t rows : {1, 30})
        list.push_back({.inputs = {f32({rows, 7 * 900})}, .attributes = {{"begin", std::int64_t{100}}, {"count", std::int64_t{777}}, {"groups", std::int64_t{7}}}, .tolerance = 0});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t groups = d.attributes.integer("groups", 1);
    return {d.graph.add("place_columns", {d.gradient}, {{"begin", d.attributes.integer("begin")}, {"width", d.shape(0).width() / groups}, {"groups", groups}})};
}

static const Kernel kernels[] = {{.name = "copy", .doc = "copies each row's part", .run = {{&run}}}};

}  // namespace tailor::ops::columns_kernels

namespace tailor::ops::entries {
extern const Op columns = {
    .name = "columns",
    .doc = "x [rows, width], attributes begin, count and groups -> [rows, groups * count]: columns begin to begin + count of each group of width / groups",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &columns_kernels::shape,
    .reference = &columns_kernels::reference,
    .kernels = columns_kernels::kernels,
    .cost = &columns_kernels::cost,
    .cases = &columns_kernels::cases,
    .gradient = &columns_kernels::gradient,
};
}  // namespace tailor::ops::entries
