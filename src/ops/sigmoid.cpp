// Sigmoid: 1 / (1 + e^-x), the gate of recurrent networks and of gated attention.
//
// e^-x overflows to infinity nowhere: the exponential is clamped at e^88, where the result is 6e-39, so no branch is needed.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/sigmoid.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::sigmoid_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    return 1.0f / (exponential(-x) + 1.0f);
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

}  // namespace tailor::ops::sigmoid_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::sigmoid_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = 1 / (1 + std::exp(-x));
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("sigmoid_gradient", {d.output, d.gradient})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::sigmoid_kernels

namespace tailor::ops::entries {
extern const Op sigmoid = {
    .name = "sigmoid",
    .doc = "x [rows, width] -> [rows, width]: 1 / (1 + exp(-x))",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &sigmoid_kernels::reference,
    .kernels = sigmoid_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &sigmoid_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
