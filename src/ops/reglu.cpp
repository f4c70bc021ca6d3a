// ReGLU gate: relu(gate) * up, in one pass.
//
// Shazeer, "GLU Variants Improve Transformer", 2020, equation 5. Families write relu and multiply; the pass fuse_gate puts this
// operator in their place. The same paper's bilinear layer has no function on its gate: that is multiply.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/reglu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::reglu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector gate(Vector x) { return maximum(x, Vector{}); }

#include "ops/gates.h"

}  // namespace tailor::ops::reglu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::reglu_kernels {

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        const std::vector<double> b = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::max(a[i], 0.0) * b[i];
        store_row(call.output, r, a);
    }
}

static std::vector<Value> gradient(const Differentiation& d) {
    const Value passed = d.wants(0) ? d.graph.add("multiply", {d.gradient, d.input(1)}) : -1;
    return {d.wants(0) ? d.graph.add("pass_within", {d.input(0), passed}, {{"low", 0.0}}) : -1, d.wants(1) ? d.graph.add("reglu", {d.input(0), d.gradient}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::reglu_kernels

namespace tailor::ops::entries {
extern const Op reglu = {
    .name = "reglu",
    .doc = "gate, up [rows, width] -> [rows, width]: max(gate, 0) * up",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &reglu_kernels::reference,
    .kernels = reglu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &elementwise_cases<2>,
    .gradient = &reglu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
