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

#include "ops/function_kernel.h"

}  // namespace tailor::ops::tanh_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::tanh_kernels {

static double definition(double x) { return std::tanh(x); }

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
    .reference = &function_reference<&tanh_kernels::definition>,
    .kernels = tanh_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &tanh_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
