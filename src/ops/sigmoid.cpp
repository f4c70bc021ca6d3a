// Sigmoid: 1 / (1 + e^-x), the gate of recurrent networks and of gated attention.
//
// e^-x overflows to infinity nowhere: the exponential is clamped at e^88, where the result is 6e-39, so no branch is needed.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/sigmoid.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::sigmoid_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    return 1.0f / (exponential(-x) + 1.0f);
}

#include "ops/function_kernel.h"

}  // namespace tailor::ops::sigmoid_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::sigmoid_kernels {

static double definition(double x) { return 1 / (1 + std::exp(-x)); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("sigmoid_gradient", {d.output, d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::sigmoid_kernels

namespace tailor::ops::entries {
extern const Op sigmoid = {
    .name = "sigmoid",
    .doc = "x [rows, width] -> [rows, width]: 1 / (1 + exp(-x))",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&sigmoid_kernels::definition>,
    .kernels = sigmoid_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &sigmoid_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
