// Clamped SwiGLU gradient: what clamped_swiglu hands back to its gate, or to the other factor.
//
//     y = f(g) (u + 1),  f(g) = g sigmoid(alpha g),  g = min(gate, limit),  u = up within [-limit, limit]
//     dy / dgate = f'(g) (u + 1) where gate < limit,    dy / dup = f(g) where |up| < limit,    else 0
// with f'(g) = s (1 + alpha g (1 - s)), s = sigmoid(alpha g). The attribute "input" says which of the two: 0 the gate, 1 the other.
#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"

namespace tailor::ops::clamped_swiglu_gradient_kernels {

/// The slope for one of the inputs, in the number type of the caller.
template <class Real>
static Real slope(Real gate, Real up, Real alpha, Real limit, std::int64_t input) {
    const Real g = std::min(gate, limit), s = 1 / (1 + std::exp(-alpha * g));
    if (input == 1) return std::fabs(up) < limit ? g * s : Real{0};
    return gate < limit ? s * (1 + alpha * g * (1 - s)) * (std::clamp(up, -limit, limit) + 1) : Real{0};
}

static void run(const Call& call) noexcept {
    const auto alpha = static_cast<float>(call.attributes.real("alpha")), limit = static_cast<float>(call.attributes.real("limit"));
    const std::int64_t input = call.attributes.integer("input");
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            call.output.row_f32(r)[i] = call.inputs[2].row_f32(r)[i] * slope(call.inputs[0].row_f32(r)[i], call.inputs[1].row_f32(r)[i], alpha, limit, input);
    });
}

static void reference(const Call& call) {
    const double alpha = call.attributes.real("alpha"), limit = call.attributes.real("limit");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> gate = row_as_double(call.inputs[0], r), up = row_as_double(call.inputs[1], r);
        std::vector<double> y = row_as_double(call.inputs[2], r);
        for (std::size_t i = 0; i < y.size(); ++i) y[i] *= slope(gate[i], up[i], alpha, limit, call.attributes.integer("input"));
        store_row(call.output, r, y);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const Case& c : elementwise_cases<3>())
        for (const std::int64_t input : {0, 1}) {
            list.push_back(c);
            list.back().attributes = {{"alpha", 1.702}, {"limit", 0.75}, {"input", input}};
        }
    return list;
}

static const Kernel kernels[] = {{.name = "plain", .doc = "one value at a time", .run = {{&run}}}};

}  // namespace tailor::ops::clamped_swiglu_gradient_kernels

namespace tailor::ops::entries {
extern const Op clamped_swiglu_gradient = {
    .name = "clamped_swiglu_gradient",
    .doc = "gate, up, gradient [rows, width], attributes alpha, limit and input (0 or 1) -> [rows, width]: the gradient of clamped_swiglu's gate or up",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &elementwise_shape,
    .reference = &clamped_swiglu_gradient_kernels::reference,
    .kernels = clamped_swiglu_gradient_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &clamped_swiglu_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of this function are not built",
};
}  // namespace tailor::ops::entries
