// Head bonus: every head's values times the weighted product of its receptance and key.
//
//     y[h] = v[h] * sum over i of r[h][i] u[h][i] k[h][i]
// What RWKV-7 adds for the present token after its normalization: Peng et al., "RWKV-7 Goose", 2025, equation 20.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/head_bonus.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::head_bonus_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* r, const float* k, const float* v, const float* u, float* y, std::int64_t count) noexcept {
    Vector sums{};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) sums = fused(load(r + i) * load(u + i), load(k + i), sums);
    float total = sum(sums);
    for (; i < count; ++i) total += r[i] * u[i] * k[i];
    for (i = 0; i + lanes <= count; i += lanes) store(y + i, load(v + i) * total);
    for (; i < count; ++i) y[i] = v[i] * total;
}

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width(), rows = call.output.shape.rows(), chunk = rows_per_chunk(width), n = width / call.attributes.integer("heads");
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            for (std::int64_t i = 0; i < width; i += n)
                apply(call.inputs[0].row_f32(r) + i, call.inputs[1].row_f32(r) + i, call.inputs[2].row_f32(r) + i, call.inputs[3].row_f32(0) + i, call.output.row_f32(r) + i, n);
    });
}

}  // namespace tailor::ops::head_bonus_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::head_bonus_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 4; ++i) require_f32(node, i);
    const core::Shape& x = node.inputs[0].shape;
    require(node.inputs[1].shape == x && node.inputs[2].shape == x, "head_bonus: r, k and v must have one shape", node);
    const std::int64_t heads = node.attributes.integer("heads");
    require(heads > 0 && x.width() % heads == 0 && node.inputs[3].shape.elements() == x.width(), "head_bonus: the bonus must have one value per column of whole heads", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const std::int64_t width = call.output.shape.width(), n = width / call.attributes.integer("heads");
    for (std::int64_t row = 0; row < call.output.shape.rows(); ++row) {
        const std::vector<double> r = row_as_double(call.inputs[0], row), k = row_as_double(call.inputs[1], row);
        std::vector<double> y = row_as_double(call.inputs[2], row);
        for (std::int64_t head = 0; head < width; head += n) {
            double total = 0;
            for (std::int64_t i = head; i < head + n; ++i) total += r[static_cast<std::size_t>(i)] * k[static_cast<std::size_t>(i)] * static_cast<double>(call.inputs[3].row_f32(0)[i]);
            for (std::int64_t i = head; i < head + n; ++i) y[static_cast<std::size_t>(i)] *= total;
        }
        store_row(call.output, row, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.output.shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [heads, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 5}, {32, 64}})
        for (const std::int64_t rows : {2, 70}) {
            const TensorType row = f32({rows, heads * n});
            list.push_back({.inputs = {row, row, row, f32({heads, n})}, .attributes = {{"heads", heads}}});
        }
    return list;
}

// y = v s with s = r . u k per head: the operator itself, with other inputs, makes every product that is needed.
static std::vector<Value> gradient(const Differentiation& d) {
    const Value r = d.input(0), k = d.input(1), v = d.input(2), u = d.input(3);
    const Value ones = d.graph.filled(d.shape(3), 1);
    const auto times = [&](Value a, Value b, Value values, Value weights) { return d.graph.add("head_bonus", {a, b, values, weights}, d.attributes); };
    std::vector<Value> result(4, -1);
    if (d.wants(0)) result[0] = d.graph.add("column_scale", {times(d.gradient, v, k, ones), u});
    if (d.wants(1)) result[1] = d.graph.add("column_scale", {times(d.gradient, v, r, ones), u});
    if (d.wants(2)) result[2] = times(r, k, d.gradient, u);
    if (d.wants(3)) result[3] = d.graph.add("column_sum", {times(d.gradient, v, k, ones), r});
    return result;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one sum and one product per head", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::head_bonus_kernels

namespace tailor::ops::entries {
extern const Op head_bonus = {
    .name = "head_bonus",
    .doc = "r, k, v [rows, heads * n], bonus [heads, n] -> [rows, heads * n]: v times the sum of r bonus k over its head",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &head_bonus_kernels::shape,
    .reference = &head_bonus_kernels::reference,
    .kernels = head_bonus_kernels::kernels,
    .cost = &head_bonus_kernels::cost,
    .cases = &head_bonus_kernels::cases,
    .gradient = &head_bonus_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
