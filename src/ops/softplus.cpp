// Softplus: ln(1 + e^(x + bias)), which makes a step size of any number.
//
// Dugas et al., "Incorporating Second-Order Functional Knowledge", 2000; the step sizes of Mamba (Gu and Dao, 2023, section
// 3.6). Computed as max(x, 0) + log1p(e) with e = e^-|x|, so nothing overflows. log1p(e) = 2 atanh(s), s = e / (2 + e): s is at
// most 1/3, where seven terms of the odd series leave 1e-8, and small results keep all their digits (1 + e would lose
// those of e).
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/softplus.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::softplus_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    const Vector e = exponential(-maximum(x, -x)), s = e / (e + 2.0f), square = s * s;
    Vector series = fused(square, broadcast(2.0f / 13), broadcast(2.0f / 11));
    series = fused(series, square, broadcast(2.0f / 9));
    series = fused(series, square, broadcast(2.0f / 7));
    series = fused(series, square, broadcast(2.0f / 5));
    series = fused(series, square, broadcast(2.0f / 3));
    series = fused(series, square, broadcast(2.0f));
    return fused(series, s, maximum(x, Vector{}));
}

/// Up to `lanes` values, the rest of a row.
static void apply_rest(const float* x, const float* bias, float* y, std::int64_t count) noexcept {
    float rest[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) rest[i] = x[i] + (bias ? bias[i] : 0.0f);
    store(rest, value(load(rest)));
    std::copy(rest, rest + count, y);
}

static void apply(const float* x, const float* bias, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector v = load(x + i);
        store(y + i, value(bias ? v + load(bias + i) : v));
    }
    if (i < count) apply_rest(x + i, bias ? bias + i : nullptr, y + i, count - i);
}

static void run(const Call& call) noexcept {
    const core::Tensor* const bias = call.input(1);
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, bias ? bias->row_f32(0) + begin : nullptr, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::softplus_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::softplus_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    if (node.input(1)) require_f32(node, 1), require(node.input(1).shape.elements() == node.inputs[0].shape.width(), "softplus: the bias must have one value per column", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (std::size_t i = 0; i < a.size(); ++i) {
            if (call.input(1)) a[i] += static_cast<double>(call.input(1)->row_f32(0)[i]);
            a[i] = std::max(a[i], 0.0) + std::log1p(std::exp(-std::fabs(a[i])));
        }
        store_row(call.output, r, a);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list = elementwise_cases<1>();
    for (const std::int64_t width : {1, 37, 5000}) list.push_back({.inputs = {f32({3, width}), f32({width})}});
    return list;
}

// The slope of softplus is the sigmoid.
static std::vector<Value> gradient(const Differentiation& d) {
    const Value sum = d.input(1) < 0 ? d.input(0) : d.graph.add("scale", {d.input(0), -1, d.input(1)});
    const Value back = d.graph.add("multiply", {d.gradient, d.graph.add("sigmoid", {sum})});
    return {d.wants(0) ? back : -1, d.wants(1) ? d.graph.add("column_sum", {back}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::softplus_kernels

namespace tailor::ops::entries {
extern const Op softplus = {
    .name = "softplus",
    .doc = "x [rows, width], optional bias [width] -> [rows, width]: ln(1 + exp(x + bias))",
    .least_inputs = 1,
    .most_inputs = 2,
    .shape = &softplus_kernels::shape,
    .reference = &softplus_kernels::reference,
    .kernels = softplus_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &softplus_kernels::cases,
    .gradient = &softplus_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
