// GELU, the exact form: x times the normal distribution function, 0.5 x (1 + erf(x / sqrt(2))).
//
// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, section 2. For z >= 0, erf(z) = 1 - P(1 / (1 + 0.3275911 z)) e^(-z^2)
// with a polynomial P of degree 5, within 1.5e-7 (Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26).
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/gelu_erf.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::gelu_erf_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    const Vector size = maximum(x, -x) * 0.70710678f, t = 1.0f / fused(size, broadcast(0.3275911f), broadcast(1.0f));
    Vector p = broadcast(1.061405429f);
    p = fused(p, t, broadcast(-1.453152027f));
    p = fused(p, t, broadcast(1.421413741f));
    p = fused(p, t, broadcast(-0.284496736f));
    p = fused(p, t, broadcast(0.254829592f)) * t;
    const Vector beyond = p * exponential(-size * size) * 0.5f;  // half of 1 - erf(|x| / sqrt(2))
    return x * (x < Vector{} ? beyond : 1.0f - beyond);
}

#include "ops/function_kernel.h"

}  // namespace tailor::ops::gelu_erf_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::gelu_erf_kernels {

static double definition(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("gelu_erf_gradient", {d.input(0), d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::gelu_erf_kernels

namespace tailor::ops::entries {
extern const Op gelu_erf = {
    .name = "gelu_erf",
    .doc = "x [rows, width] -> [rows, width]: 0.5 x (1 + erf(x / sqrt(2)))",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &function_reference<&gelu_erf_kernels::definition>,
    .kernels = gelu_erf_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &gelu_erf_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
