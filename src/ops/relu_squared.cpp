// Squared ReLU: max(x, 0)^2.
//
// So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021, section 4.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"
#include "ops/gradients.h"

#define TAILOR_THIS_FILE "ops/relu_squared.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::relu_squared_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x) {
    const Vector positive = maximum(x, Vector{});
    return positive * positive;
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

}  // namespace tailor::ops::relu_squared_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::relu_squared_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = x > 0 ? x * x : 0;
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {scaled(d.graph, d.graph.add("multiply", {d.graph.add("relu", {d.input(0)}), d.gradient}), 2)};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::relu_squared_kernels

namespace tailor::ops::entries {
extern const Op relu_squared = {
    .name = "relu_squared",
    .doc = "x [rows, width] -> [rows, width]: max(x, 0)^2",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &elementwise_shape,
    .reference = &relu_squared_kernels::reference,
    .kernels = relu_squared_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<1>,
    .gradient = &relu_squared_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
