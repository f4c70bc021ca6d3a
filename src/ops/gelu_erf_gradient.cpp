// GELU gradient, the exact form: the derivative of x times the normal distribution function, times a gradient.
//
// The slope is P(x) + x p(x) with the distribution function P and the density p. P is gelu_erf.cpp's polynomial, whose exponential
// e^(-x^2 / 2) is also that of p.
#include <cmath>

#include "cpu/simd.h"
#include "ops/slope.h"

#define TAILOR_THIS_FILE "ops/gelu_erf_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::gelu_erf_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float slope_parameter(const Attributes&) noexcept { return 0; }

struct Slope {
    [[gnu::always_inline]] static inline Vector at(Vector x, float) {
        const Vector size = maximum(x, -x) * 0.70710678f, t = 1.0f / fused(size, broadcast(0.3275911f), broadcast(1.0f));
        Vector p = broadcast(1.061405429f);
        p = fused(p, t, broadcast(-1.453152027f));
        p = fused(p, t, broadcast(1.421413741f));
        p = fused(p, t, broadcast(-0.284496736f));
        p = fused(p, t, broadcast(0.254829592f)) * t;
        const Vector e = exponential(-size * size), beyond = p * e * 0.5f;
        return fused(x * 0.3989422804f, e, x < Vector{} ? beyond : 1.0f - beyond);
    }
};

#include "ops/slope_kernel.h"

}  // namespace tailor::ops::gelu_erf_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::gelu_erf_gradient_kernels {

static double slope(double x, const Attributes&) {
    return 0.5 * (1 + std::erf(x / std::sqrt(2.0))) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::gelu_erf_gradient_kernels

namespace tailor::ops::entries {
extern const Op gelu_erf_gradient = {
    .name = "gelu_erf_gradient",
    .doc = "x, gradient, optional factor [rows, width] -> [rows, width]: gradient * factor * gelu_erf'(x)",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &elementwise_shape,
    .reference = &slope_reference<&gelu_erf_gradient_kernels::slope>,
    .kernels = gelu_erf_gradient_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &slope_cases,
    .not_differentiable = no_second_derivative,
};
}  // namespace tailor::ops::entries
#endif
