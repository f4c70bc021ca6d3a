// ReLU: the larger of x and 0.
//
// Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/relu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::relu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) { return maximum(x, Vector{}); }

#include "ops/function_kernel.h"

}  // namespace tailor::ops::relu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::relu_kernels {

static double definition(double x) { return std::max(x, 0.0); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("pass_within", {d.input(0), d.gradient}, {{"low", 0.0}})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::relu_kernels

namespace tailor::ops::entries {
extern const Op relu = {
    .name = "relu",
    .doc = "x [rows, width] -> [rows, width]: max(x, 0)",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&relu_kernels::definition>,
    .kernels = relu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &relu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
