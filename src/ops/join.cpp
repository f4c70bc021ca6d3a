// Join: two matrices side by side, group by group (head by head),
//     y[r] = a[r, 0] b[r, 0]  a[r, 1] b[r, 1]  ...  with a[r, g] the columns of group g
//
// Multi-head latent attention puts a head's query together from a part that knows no position and one that does, and its keys
// from a part per head and one that all heads share (DeepSeek-V2, 2024, equations 14 to 16): b may hold one group for all.
#include <algorithm>
#include <cstring>

#include "ops/support.h"

namespace tailor::ops::join_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    const core::Shape &a = node.inputs[0].shape, &b = node.inputs[1].shape;
    const std::int64_t groups = node.attributes.integer("groups", 1), shared = node.attributes.integer("shared", 0);
    require(a.rows() == b.rows(), "join: both inputs must have the same rows", node);
    require(groups > 0 && a.width() % groups == 0 && (shared || b.width() % groups == 0), core::format("join: a width is no multiple of {} groups", groups), node);
    return f32({a.rows(), a.width() + b.width() * (shared ? groups : 1)});
}

// Widths of a group of a and of b, and how far the next group of b is.
struct Widths {
    std::int64_t groups, a, b, next_b;
};
static Widths widths(const Call& call) noexcept {
    const std::int64_t groups = call.attributes.integer("groups", 1), a = call.inputs[0].shape.width() / groups, b = call.output.shape.width() / groups - a;
    return {groups, a, b, call.attributes.integer("shared", 0) ? 0 : b};
}

static void run(const Call& call) noexcept {
    const Widths w = widths(call);
    const std::int64_t rows = call.output.shape.rows(), chunk = rows_per_chunk(call.output.shape.width());
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            const float *const a = call.inputs[0].row_f32(r), *const b = call.inputs[1].row_f32(r);
            float* y = call.output.row_f32(r);
            for (std::int64_t g = 0; g < w.groups; ++g, y += w.a + w.b) {
                std::memcpy(y, a + g * w.a, static_cast<std::size_t>(w.a) * sizeof(float));
                std::memcpy(y + w.a, b + g * w.next_b, static_cast<std::size_t>(w.b) * sizeof(float));
            }
        }
    });
}

static void reference(const Call& call) {
    const Widths w = widths(call);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> a = row_as_double(call.inputs[0], r), b = row_as_double(call.inputs[1], r);
        std::vector<double> y;
        for (std::int64_t g = 0; g < w.groups; ++g) {
            y.insert(y.end(), a.begin() + g * w.a, a.begin() + (g + 1) * w.a);
            y.insert(y.end(), b.begin() + g * w.next_b, b.begin() + g * w.next_b + w.b);
        }
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 0); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 70})
        for (const std::int64_t groups : {1, 6})
            for (const std::int64_t shared : {0, 1})
                list.push_back({.inputs = {f32({rows, groups * 40}), f32({rows, shared ? 17 : groups * 17})},
                                .attributes = {{"groups", groups}, {"shared", shared}}, .tolerance = 0});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t groups = d.attributes.integer("groups", 1), a = d.shape(0).width() / groups, width = d.graph.type(d.output).shape.width() / groups;
    const auto take = [&](std::int64_t begin, std::int64_t count) { return d.graph.add("columns", {d.gradient}, {{"begin", begin}, {"count", count}, {"groups", groups}}); };
    std::vector<Value> result{d.wants(0) ? take(0, a) : -1, d.wants(1) ? take(a, width - a) : -1};
    if (d.wants(1) && d.attributes.integer("shared", 0)) result[1] = d.graph.add("group_sum", {result[1]}, {{"groups", groups}});
    return result;
}

static const Kernel kernels[] = {{.name = "copy", .doc = "copies each group of each row", .run = {{&run}}}};

}  // namespace tailor::ops::join_kernels

namespace tailor::ops::entries {
extern const Op join = {
    .name = "join",
    .doc = "a [rows, groups * n], b [rows, groups * m] (or [rows, m] if `shared`) -> [rows, groups * (n + m)]: each group of a, then that of b",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &join_kernels::shape,
    .reference = &join_kernels::reference,
    .kernels = join_kernels::kernels,
    .cost = &join_kernels::cost,
    .cases = &join_kernels::cases,
    .gradient = &join_kernels::gradient,
};
}  // namespace tailor::ops::entries
