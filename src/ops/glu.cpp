// GLU gate: sigmoid(gate) * up, in one pass.
//
// Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2017, equation 1; Shazeer, "GLU Variants Improve
// Transformer", 2020, equation 4. Also the gate on attention's output (Qiu et al., "Gated Attention for Large Language Models", 2025).
// Families write sigmoid and multiply; the pass fuse_gate puts this operator in their place.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/glu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::glu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector gate(Vector x) { return 1.0f / (exponential(-x) + 1.0f); }

#include "ops/gates.h"

}  // namespace tailor::ops::glu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::glu_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        const std::vector<double> b = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < a.size(); ++i) a[i] = 1 / (1 + std::exp(-a[i])) * b[i];
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) {
    const Value passed = d.wants(0) ? d.graph.add("multiply", {d.gradient, d.input(1)}) : -1;
    return {d.wants(0) ? d.graph.add("sigmoid_gradient", {d.graph.add("sigmoid", {d.input(0)}), passed}) : -1, d.wants(1) ? d.graph.add("glu", {d.input(0), d.gradient}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::glu_kernels

namespace tailor::ops::entries {
extern const Op glu = {
    .name = "glu",
    .doc = "gate, up [rows, width] -> [rows, width]: up / (1 + exp(-gate))",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &glu_kernels::reference,
    .kernels = glu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<2>,
    .gradient = &glu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
