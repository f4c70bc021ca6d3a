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

static void apply(const float* x, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, value(load(x + i)));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, value(load(rest)));
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::gelu_erf_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::gelu_erf_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        store_row(call.output, r, a);
    }
}

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
    .reference = &gelu_erf_kernels::reference,
    .kernels = gelu_erf_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &gelu_erf_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
