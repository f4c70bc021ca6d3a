// Row dot: each row of x times a row of y, or each row's sum.
//
//     z[r] = sum over i of x[r, i] y[r / repeats, i]
// Where y has fewer rows than x, `repeats` neighbouring rows of x meet the same row of y: the gradient of the weights with which a
// row's experts were mixed. Without y it sums a row up.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/row_dot.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::row_dot_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float multiply(const float* x, const float* y, std::int64_t width) noexcept {
    Vector total[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * lanes <= width; i += 2 * lanes)
        for (int u = 0; u < 2; ++u) total[u] = y ? fused(load(x + i + u * lanes), load(y + i + u * lanes), total[u]) : total[u] + load(x + i + u * lanes);
    float tail = 0;
    for (; i < width; ++i) tail += y ? x[i] * y[i] : x[i];
    return sum(total[0] + total[1]) + tail;
}

static void run(const Call& call) noexcept {
    const core::Tensor& x = call.inputs[0];
    const core::Tensor* const y = call.input(1);
    const std::int64_t rows = x.shape.rows(), width = x.shape.width(), chunk = rows_per_chunk(width), repeats = y ? rows / y->shape.rows() : 1;
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            call.output.row_f32(r)[0] = multiply(x.row_f32(r), y ? y->row_f32(r / repeats) : nullptr, width);
    });
}

}  // namespace tailor::ops::row_dot_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::row_dot_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const core::Shape& x = node.inputs[0].shape;
    if (node.input(1)) {
        require_f32(node, 1);
        const core::Shape& y = node.inputs[1].shape;
        require(y.width() == x.width() && x.rows() % y.rows() == 0, "row_dot: the rows of x must be a multiple of those of y, of one width", node);
    }
    return f32({x.rows(), 1});
}

static void reference(const Call& call) {
    const std::int64_t rows = call.output.shape.rows(), repeats = call.input(1) ? rows / call.inputs[1].shape.rows() : 1;
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r), y = call.input(1) ? row_as_double(*call.input(1), r / repeats) : std::vector<double>(x.size(), 1);
        double total = 0;
        for (std::size_t i = 0; i < x.size(); ++i) total += x[i] * y[i];
        store_row(call.output, r, {total});
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 130})
        for (const std::int64_t width : {1, 37, 300})
            for (const std::int64_t repeats : {0, 1, 4})
                list.push_back({.inputs = {f32({rows * std::max<std::int64_t>(1, repeats), width}), repeats ? f32({rows, width}) : TensorType{}}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const core::Shape x = d.shape(0);
    std::vector<Value> result(2, -1);
    if (d.input(1) < 0) {
        if (d.wants(0)) result[0] = d.graph.add("expert_scale", {d.graph.filled(x, 1), d.gradient});
        return result;
    }
    const std::int64_t rows = d.shape(1).rows(), repeats = x.rows() / rows;
    const Value weights = d.graph.add("reshape", {d.gradient}, {{"rank", std::int64_t{2}}, {"dimension_0", rows}, {"dimension_1", repeats}});
    if (d.wants(0)) result[0] = d.graph.add("expert_scale", {d.input(1), weights});
    if (d.wants(1)) result[1] = d.graph.add("expert_sum", {d.input(0), weights}, {{"used", repeats}});
    return result;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one row after the other, two vectors at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::row_dot_kernels

namespace tailor::ops::entries {
extern const Op row_dot = {
    .name = "row_dot",
    .doc = "x [rows * repeats, width], optional y [rows, width] -> [rows * repeats, 1]: x[r] . y[r / repeats], or the sum of each row",
    .least_inputs = 1,
    .most_inputs = 2,
    .shape = &row_dot_kernels::shape,
    .reference = &row_dot_kernels::reference,
    .kernels = row_dot_kernels::kernels,
    .cost = &row_dot_kernels::cost,
    .cases = &row_dot_kernels::cases,
    .gradient = &row_dot_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
