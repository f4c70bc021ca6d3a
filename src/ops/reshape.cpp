// Reshape: a stretch of the numbers of x, in order, seen in another shape.
//
// A node has one result. Operators whose gradients come out of one loop write them one behind the other, and here each is taken out.
// It is a copy, small beside the loop that made the numbers.
#include <algorithm>
#include <cstring>

#include "ops/support.h"

namespace tailor::ops::reshape_kernels {

static TensorType shape(const NodeView& node) {
    const TensorType& x = node.inputs[0];
    require(x.format->values_per_block == 1 && x.format->bytes_per_block == 4 && x.layout == core::Layout::rows, "reshape: x must be f32 or i32", node);
    const std::int64_t rank = node.attributes.integer("rank"), begin = node.attributes.integer("begin", 0);
    require(rank >= 1 && rank <= core::Shape::max_rank, core::format("reshape: a shape of {} dimensions", rank), node);
    core::Shape shape;
    for (std::int64_t i = 0; i < rank; ++i) shape.append(node.attributes.integer(core::format("dimension_{}", i)));
    require(begin >= 0 && shape.elements() > 0 && begin + shape.elements() <= x.shape.elements(),
            core::format("reshape: {} values from {} on are more than there are", shape.elements(), begin), node);
    return {x.format, shape};
}

static void run(const Call& call) noexcept {
    constexpr std::int64_t chunk = 4096;
    const std::int64_t count = call.output.shape.elements();
    const float* const from = call.inputs[0].row_f32(0) + call.attributes.integer("begin", 0);
    call.pool->run((count + chunk - 1) / chunk, [&](std::int64_t c, int) {
        std::memcpy(call.output.row_f32(0) + c * chunk, from + c * chunk, static_cast<std::size_t>(std::min(chunk, count - c * chunk)) * sizeof(float));
    });
}

static void reference(const Call& call) {
    const float* const from = call.inputs[0].row_f32(0) + call.attributes.integer("begin", 0);
    for (std::int64_t i = 0; i < call.output.shape.elements(); ++i) call.output.row_f32(0)[i] = from[i];
}

static Cost cost(const NodeView& node) {
    const double bytes = 4 * static_cast<double>(node.output.shape.elements());
    return {.bytes_read = bytes, .bytes_written = bytes};
}

static std::vector<Case> cases() {
    return {{.inputs = {f32({5, 7})}, .attributes = {{"rank", std::int64_t{1}}, {"dimension_0", std::int64_t{35}}}, .tolerance = 0},
            {.inputs = {f32({70, 200})}, .attributes = {{"rank", std::int64_t{2}}, {"dimension_0", std::int64_t{100}}, {"dimension_1", std::int64_t{130}}, {"begin", std::int64_t{999}}}, .tolerance = 0},
            {.inputs = {f32({6})}, .attributes = {{"rank", std::int64_t{3}}, {"dimension_0", std::int64_t{1}}, {"dimension_1", std::int64_t{3}}, {"dimension_2", std::int64_t{2}}}, .tolerance = 0}};
}

static std::vector<Value> gradient(const Differentiation& d) {
    const core::Shape from = d.shape(0);
    const std::int64_t count = d.graph.type(d.gradient).shape.elements(), all = from.elements();
    const Value row = d.graph.add("reshape", {d.gradient}, {{"rank", std::int64_t{2}}, {"dimension_0", std::int64_t{1}}, {"dimension_1", count}});
    return {count == all ? row : d.graph.add("place_columns", {row}, {{"begin", d.attributes.integer("begin", 0)}, {"width", all}})};
}

static const Kernel kernels[] = {{.name = "copy", .doc = "copies 16 KB at a time", .run = {{&run}}}};

}  // namespace tailor::ops::reshape_kernels

namespace tailor::ops::entries {
extern const Op reshape = {
    .name = "reshape",
    .doc = "x of any shape, attributes rank, dimension_0 to dimension_3 and begin (0) -> the numbers of x from number `begin` on, in that shape",
    .shape = &reshape_kernels::shape,
    .reference = &reshape_kernels::reference,
    .kernels = reshape_kernels::kernels,
    .cost = &reshape_kernels::cost,
    .cases = &reshape_kernels::cases,
    .gradient = &reshape_kernels::gradient,
};
}  // namespace tailor::ops::entries
