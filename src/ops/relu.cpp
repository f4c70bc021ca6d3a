// ReLU: the larger of x and 0.
//
// Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/relu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::relu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) { return maximum(x, Vector{}); }

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

}  // namespace tailor::ops::relu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::relu_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = std::max(x, 0.0);
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("pass_within", {d.input(0), d.gradient}, {{"low", 0.0}})}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::relu_kernels

namespace tailor::ops::entries {
extern const Op relu = {
    .name = "relu",
    .doc = "x [rows, width] -> [rows, width]: max(x, 0)",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &relu_kernels::reference,
    .kernels = relu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &relu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
