// SiLU: x * sigmoid(x) = x / (1 + e^-x).
//
// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016; Elfwing et al., "Sigmoid-Weighted Linear Units", 2017.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/silu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::silu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) { return x / (exponential(-x) + 1.0f); }

#include "ops/function_kernel.h"

}  // namespace tailor::ops::silu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::silu_kernels {

static double definition(double x) { return x / (1 + std::exp(-x)); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("silu_gradient", {d.input(0), d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::silu_kernels

namespace tailor::ops::entries {
extern const Op silu = {
    .name = "silu",
    .doc = "x [rows, width] -> [rows, width]: x / (1 + exp(-x))",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&silu_kernels::definition>,
    .kernels = silu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &silu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
