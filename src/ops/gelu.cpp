// GELU, the tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
//
// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, section 2. Since (1 + tanh(z)) / 2 = 1 / (1 + e^-2z), one
// exponential and one division do. The form with erf is the operator gelu_erf; they differ by at most 5e-4.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/gelu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::gelu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    const Vector twice = x * fused(x * x, broadcast(-2 * 0.7978845608f * 0.044715f), broadcast(-2 * 0.7978845608f));
    return x / (exponential(twice) + 1.0f);
}

#include "ops/function_kernel.h"

}  // namespace tailor::ops::gelu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::gelu_kernels {

static double definition(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("gelu_gradient", {d.input(0), d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::gelu_kernels

namespace tailor::ops::entries {
extern const Op gelu = {
    .name = "gelu",
    .doc = "x [rows, width] -> [rows, width]: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&gelu_kernels::definition>,
    .kernels = gelu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &gelu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
