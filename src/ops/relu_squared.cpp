// Squared ReLU: max(x, 0)^2.
//
// So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021, section 4.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"
#include "ops/gradients.h"

#define TAILOR_THIS_FILE "ops/relu_squared.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::relu_squared_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    const Vector positive = maximum(x, Vector{});
    return positive * positive;
}

#include "ops/function_kernel.h"

}  // namespace tailor::ops::relu_squared_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::relu_squared_kernels {

static double definition(double x) { return x > 0 ? x * x : 0; }

static std::vector<Value> gradient(const Differentiation& d) {
    return {scaled(d.graph, d.graph.add("multiply", {d.graph.add("relu", {d.input(0)}), d.gradient}), 2)};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::relu_squared_kernels

namespace tailor::ops::entries {
extern const Op relu_squared = {
    .name = "relu_squared",
    .doc = "x [rows, width] -> [rows, width]: max(x, 0)^2",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&relu_squared_kernels::definition>,
    .kernels = relu_squared_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &relu_squared_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
