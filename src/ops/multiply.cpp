// Multiply: the elementwise product of two tensors of one shape, for gates.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/multiply.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::multiply_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* a, const float* b, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, load(a + i) * load(b + i));
    for (; i < count; ++i) y[i] = a[i] * b[i];
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::multiply_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::multiply_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        const std::vector<double> b = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) {
    const auto times = [&](Value other) { return d.graph.add("multiply", {d.gradient, other}); };
    return {d.wants(0) ? times(d.input(1)) : -1, d.wants(1) ? times(d.input(0)) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::multiply_kernels

namespace tailor::ops::entries {
extern const Op multiply = {
    .name = "multiply",
    .doc = "a, b [rows, width] -> [rows, width]: a * b",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &multiply_kernels::reference,
    .kernels = multiply_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<2>,
    .gradient = &multiply_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
