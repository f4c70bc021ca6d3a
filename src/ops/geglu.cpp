// GeGLU gate: gelu(gate) * up, in one pass; GELU in the tanh form.
//
// Shazeer, "GLU Variants Improve Transformer", 2020, equation 5. Families write gelu and multiply; the pass fuse_gate puts
// this operator in their place, which saves one round trip of the widest activation through memory.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/geglu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::geglu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// See gelu.cpp.
[[gnu::always_inline]] static inline Vector gelu(Vector x) {
    const Vector twice = x * fused(x * x, broadcast(-2 * 0.7978845608f * 0.044715f), broadcast(-2 * 0.7978845608f));
    return x / (exponential(twice) + 1.0f);
}

static void apply(const float* gate, const float* up, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, gelu(load(gate + i)) * load(up + i));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(gate + i, gate + count, rest);
    store(rest, gelu(load(rest)));
    for (std::int64_t j = i; j < count; ++j) y[j] = rest[j - i] * up[j];
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::geglu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::geglu_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        const std::vector<double> b = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < a.size(); ++i) a[i] *= 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (a[i] + 0.044715 * a[i] * a[i] * a[i]))) * b[i];
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("gelu_gradient", {d.input(0), d.gradient, d.input(1)}) : -1, d.wants(1) ? d.graph.add("geglu", {d.input(0), d.gradient}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::geglu_kernels

namespace tailor::ops::entries {
extern const Op geglu = {
    .name = "geglu",
    .doc = "gate, up [rows, width] -> [rows, width]: gelu(gate) * up, gelu as of that operator",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &geglu_kernels::reference,
    .kernels = geglu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<2>,
    .gradient = &geglu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
