// SwiGLU gate: silu(gate) * up, in one pass.
//
// Shazeer, "GLU Variants Improve Transformer", 2020, equation 6. Families write silu and multiply; the pass fuse_gate
// puts this operator in their place, which saves one round trip of the widest activation through memory.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/swiglu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::swiglu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* gate, const float* up, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector v = load(gate + i);
        store(y + i, v / (exponential(-v) + 1.0f) * load(up + i));
    }
    for (; i < count; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::swiglu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::swiglu_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        const std::vector<double> b = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < a.size(); ++i) a[i] = a[i] / (1 + std::exp(-a[i])) * b[i];
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("silu_gradient", {d.input(0), d.gradient, d.input(1)}) : -1, d.wants(1) ? d.graph.add("swiglu", {d.input(0), d.gradient}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::swiglu_kernels

namespace tailor::ops::entries {
extern const Op swiglu = {
    .name = "swiglu",
    .doc = "gate, up [rows, width] -> [rows, width]: gate / (1 + exp(-gate)) * up",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &swiglu_kernels::reference,
    .kernels = swiglu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<2>,
    .gradient = &swiglu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
