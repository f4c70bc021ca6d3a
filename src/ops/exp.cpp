// Exp: e^x, for decays that a network computes as logarithms.
//
// The polynomial is cpu/simd_common.h's: 0 below -87, clamped above 88.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/exp.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::exp_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    return exponential(x);
}

#include "ops/function_kernel.h"

}  // namespace tailor::ops::exp_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::exp_kernels {

static double definition(double x) { return std::exp(x); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("multiply", {d.gradient, d.output})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::exp_kernels

namespace tailor::ops::entries {
extern const Op exp = {
    .name = "exp",
    .doc = "x [rows, width] -> [rows, width]: exp(x)",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&exp_kernels::definition>,
    .kernels = exp_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &exp_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
