// PolyReLU: a polynomial of the positive part.
//
//     y = sum over i <= m of a_i max(x, 0)^i,   0^0 = 1
// Zhuo et al., "Polynomial Composition Activations: Unleashing the Dynamics of Large Language Models", 2024, equation 3 (m = 3, learned
// a). By Horner's rule.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/poly_relu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::poly_relu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x, const float* a, std::int64_t degree) {
    const Vector positive = maximum(x, Vector{});
    Vector y = broadcast(a[degree]);
    for (std::int64_t i = degree; i-- > 0;) y = fused(y, positive, broadcast(a[i]));
    return y;
}

static void apply(const float* x, const float* a, std::int64_t degree, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, value(load(x + i), a, degree));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, value(load(rest), a, degree));
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    const core::Tensor& a = call.inputs[1];
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, a.row_f32(0), a.shape.elements() - 1, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::poly_relu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::poly_relu_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0), require_f32(node, 1);
    require(node.inputs[1].shape.rank() == 1, "poly_relu: the coefficients must be [m + 1]", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const std::vector<double> a = row_as_double(call.inputs[1], 0);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (double& value : x) {
            double y = 0, power = 1;
            for (const double factor : a) y += factor * power, power *= std::max(value, 0.0);
            value = y;
        }
        store_row(call.output, r, x);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements() * node.inputs[1].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t terms : {1, 2, 4})
        for (const std::int64_t width : {1, 37, 64, 5000}) list.push_back({.inputs = {f32({3, width}), f32({terms})}});
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::poly_relu_kernels

namespace tailor::ops::entries {
extern const Op poly_relu = {
    .name = "poly_relu",
    .doc = "x [rows, width], a [m + 1] -> [rows, width]: sum of a_i max(x, 0)^i",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &poly_relu_kernels::shape,
    .reference = &poly_relu_kernels::reference,
    .kernels = poly_relu_kernels::kernels,
    .cost = &poly_relu_kernels::cost,
    .in_place = true,
    .cases = &poly_relu_kernels::cases,
    .not_differentiable = "the gradients of its coefficients are sums of powers, which are not built",
};
}  // namespace tailor::ops::entries
#endif
