// GELU gradient: the derivative of the tanh form of GELU, times a gradient.
//
// gelu(x) = x s with s = sigmoid(z), z = 2 sqrt(2 / pi) (x + 0.044715 x^3), so the slope is s + x s (1 - s) z'. 1 - s is taken as
// e^-z s, which keeps its digits where s is near 1. The optional third input is the other factor of a gate (geglu).
#include <cmath>

#include "cpu/simd.h"
#include "ops/slope.h"

#define TAILOR_THIS_FILE "ops/gelu_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::gelu_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float slope_parameter(const Attributes&) noexcept { return 0; }

struct Slope {
    [[gnu::always_inline]] static inline Vector at(Vector x, float) {
        const Vector square = x * x, minus_z = x * fused(square, broadcast(-2 * 0.7978845608f * 0.044715f), broadcast(-2 * 0.7978845608f));
        const Vector e = exponential(minus_z), s = 1.0f / (e + 1.0f);
        const Vector z_slope = fused(square, broadcast(6 * 0.7978845608f * 0.044715f), broadcast(2 * 0.7978845608f));
        return fused(x * s * (e * s), z_slope, s);
    }
};

#include "ops/slope_kernel.h"

}  // namespace tailor::ops::gelu_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::gelu_gradient_kernels {

static double slope(double x, const Attributes&) {
    const double root = std::sqrt(2 / M_PI), t = std::tanh(root * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::gelu_gradient_kernels

namespace tailor::ops::entries {
extern const Op gelu_gradient = {
    .name = "gelu_gradient",
    .doc = "x, gradient, optional factor [rows, width] -> [rows, width]: gradient * factor * gelu'(x), gelu in the tanh form",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &elementwise_shape,
    .reference = &slope_reference<&gelu_gradient_kernels::slope>,
    .kernels = gelu_gradient_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &slope_cases,
    .not_differentiable = no_second_derivative,
};
}  // namespace tailor::ops::entries
#endif
