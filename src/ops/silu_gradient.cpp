// SiLU gradient: the derivative of x sigmoid(x), times a gradient.
//
// With s = sigmoid(x) the slope is s (1 + x (1 - s)). The optional third input is the other factor of a gate: the gradient of
// SwiGLU's gate is gradient * up * silu'(gate) in one pass, and that of `up` is swiglu(gate, gradient) itself.
#include <cmath>

#include "cpu/simd.h"
#include "ops/slope.h"

#define TAILOR_THIS_FILE "ops/silu_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::silu_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float slope_parameter(const Attributes&) noexcept { return 0; }

struct Slope {
    [[gnu::always_inline]] static inline Vector at(Vector x, float) {
        const Vector s = 1.0f / (exponential(-x) + 1.0f);
        return s * fused(x, 1.0f - s, broadcast(1.0f));
    }
};

#include "ops/slope_kernel.h"

}  // namespace tailor::ops::silu_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::silu_gradient_kernels {

static double slope(double x, const Attributes&) {
    const double s = 1 / (1 + std::exp(-x));
    return s * (1 + x * (1 - s));
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::silu_gradient_kernels

namespace tailor::ops::entries {
extern const Op silu_gradient = {
    .name = "silu_gradient",
    .doc = "x, gradient, optional factor [rows, width] -> [rows, width]: gradient * factor * s (1 + x (1 - s)), s = sigmoid(x)",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &elementwise_shape,
    .reference = &slope_reference<&silu_gradient_kernels::slope>,
    .kernels = silu_gradient_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &slope_cases,
    .not_differentiable = no_second_derivative,
};
}  // namespace tailor::ops::entries
#endif
