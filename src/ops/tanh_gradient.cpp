// Tanh gradient: the derivative of cap tanh(x / cap) by its result, times a gradient.
//
// For y = cap tanh(x / cap) the slope is 1 - (y / cap)^2: softcap, and with a cap of 1 (the default) tanh itself.
#include <cmath>

#include "cpu/simd.h"
#include "ops/slope.h"

#define TAILOR_THIS_FILE "ops/tanh_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::tanh_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static float slope_parameter(const Attributes& attributes) noexcept { return static_cast<float>(1 / (attributes.real("cap", 1) * attributes.real("cap", 1))); }

struct Slope {
    [[gnu::always_inline]] static inline Vector at(Vector y, float parameter) {
        return 1.0f - y * y * parameter;
    }
};

#include "ops/slope_kernel.h"

}  // namespace tailor::ops::tanh_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::tanh_gradient_kernels {

static double slope(double y, const Attributes& attributes) {
    const double share = y / attributes.real("cap", 1);
    return 1 - share * share;
}

static std::vector<Case> cases() {
    std::vector<Case> list = slope_cases();
    for (std::size_t i = 0; i < list.size(); i += 2) list[i].attributes.set("cap", 30.0);
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::tanh_gradient_kernels

namespace tailor::ops::entries {
extern const Op tanh_gradient = {
    .name = "tanh_gradient",
    .doc = "y, gradient, optional factor [rows, width], attribute cap (1) -> [rows, width]: gradient * factor * (1 - (y / cap)^2), for y = cap tanh(x / cap)",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &elementwise_shape,
    .reference = &slope_reference<&tanh_gradient_kernels::slope>,
    .kernels = tanh_gradient_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &tanh_gradient_kernels::cases,
    .not_differentiable = no_second_derivative,
};
}  // namespace tailor::ops::entries
#endif
