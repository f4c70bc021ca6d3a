// SiLU: x * sigmoid(x) = x / (1 + e^-x).
//
// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016; Elfwing et al., "Sigmoid-Weighted Linear Units", 2017.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/silu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::silu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* x, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector v = load(x + i);
        store(y + i, v / (exponential(-v) + 1.0f));
    }
    for (; i < count; ++i) y[i] = x[i] / (1.0f + std::exp(-x[i]));
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::silu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::silu_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x /= 1 + std::exp(-x);
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("silu_gradient", {d.input(0), d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::silu_kernels

namespace tailor::ops::entries {
extern const Op silu = {
    .name = "silu",
    .doc = "x [rows, width] -> [rows, width]: x / (1 + exp(-x))",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &silu_kernels::reference,
    .kernels = silu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &silu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
