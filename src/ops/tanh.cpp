// Tanh: the hyperbolic tangent, the squashing function of recurrent networks and of low-rank mixers.
//
// (1 - e) / (1 + e) with e = exp(-2 |x|) and the sign of x. Near zero 1 - e loses its leading digits, so there the odd series
// x - x^3/3 + 2 x^5/15 - 17 x^7/315 is used: below 0.25 its next term is under 1e-7 of the result.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/tanh.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::tanh_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    const Vector magnitude = maximum(x, -x), e = exponential(magnitude * -2.0f), square = x * x;
    const Vector large = (1.0f - e) / (1.0f + e);
    Vector series = fused(square, broadcast(-17.0f / 315), broadcast(2.0f / 15));
    series = fused(fused(series, square, broadcast(-1.0f / 3)), square * x, x);
    return magnitude < broadcast(0.25f) ? series : x < Vector{} ? -large : large;
}

static void apply(const float* x, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, value(load(x + i)));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, value(load(rest)));
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::tanh_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::tanh_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = std::tanh(x);
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("tanh_gradient", {d.output, d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::tanh_kernels

namespace tailor::ops::entries {
extern const Op tanh = {
    .name = "tanh",
    .doc = "x [rows, width] -> [rows, width]: tanh(x)",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &tanh_kernels::reference,
    .kernels = tanh_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &tanh_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
