// Column scale: every column times a number of its own.
//
// RWKV-7 forms the direction that it forgets along so from its keys (Peng et al., 2025, equation 6).
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/column_scale.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::column_scale_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* x, const float* weight, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, load(x + i) * load(weight + i));
    for (; i < count; ++i) y[i] = x[i] * weight[i];
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(0) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::column_scale_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::column_scale_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[1].shape.elements() == node.inputs[0].shape.width(), "column_scale: the weight must have one value per column", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const std::vector<double> weight = row_as_double(call.inputs[1], 0);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] *= weight[i];
        store_row(call.output, r, x);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t width : {1, 37, 5000}) list.push_back({.inputs = {f32({3, width}), f32({width})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("column_scale", {d.gradient, d.input(1)}) : -1, d.wants(1) ? d.graph.add("column_sum", {d.gradient, d.input(0)}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::column_scale_kernels

namespace tailor::ops::entries {
extern const Op column_scale = {
    .name = "column_scale",
    .doc = "x [rows, width], weight [width] -> [rows, width]: x * weight",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &column_scale_kernels::shape,
    .reference = &column_scale_kernels::reference,
    .kernels = column_scale_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &column_scale_kernels::cases,
    .gradient = &column_scale_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
