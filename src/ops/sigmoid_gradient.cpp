// Sigmoid gradient: the derivative of the logistic function by its result, times a gradient.
//
// For y = 1 / (1 + e^-x) the slope is y (1 - y): what was computed forwards serves once more, and no exponential is needed.
#include <cmath>

#include "cpu/simd.h"
#include "ops/slope.h"

#define TAILOR_THIS_FILE "ops/sigmoid_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::sigmoid_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float slope_parameter(const Attributes&) noexcept { return 0; }

struct Slope {
    [[gnu::always_inline]] static inline Vector at(Vector y, float) {
        return y * (1.0f - y);
    }
};

#include "ops/slope_kernel.h"

}  // namespace tailor::ops::sigmoid_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::sigmoid_gradient_kernels {

static double slope(double y, const Attributes&) {
    return y * (1 - y);
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::sigmoid_gradient_kernels

namespace tailor::ops::entries {
extern const Op sigmoid_gradient = {
    .name = "sigmoid_gradient",
    .doc = "y, gradient, optional factor [rows, width] -> [rows, width]: gradient * factor * y (1 - y), for y = sigmoid(x)",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &elementwise_shape,
    .reference = &slope_reference<&sigmoid_gradient_kernels::slope>,
    .kernels = sigmoid_gradient_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &slope_cases,
    .not_differentiable = no_second_derivative,
};
}  // namespace tailor::ops::entries
#endif
