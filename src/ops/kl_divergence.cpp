// Divergence of Kullback and Leibler between two rows of logits, the loss of a student against its teacher.
//
//     z[r] = t^2 sum over i of P_i (ln P_i - ln Q_i),  P = softmax(p[r] / t),  Q = softmax(q[r] / t)
// A temperature t above 1 shows what the teacher thinks of unlikely answers; t^2 keeps gradients of one size whatever t is: Hinton,
// Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2. With the teacher as p the student must cover all
// that the teacher may say; with the student as p, what it says must be what the teacher may say (Gu et al., "MiniLLM", 2023, section 2).
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/distillation.h"

#define TAILOR_THIS_FILE "ops/kl_divergence.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::kl_divergence_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/divergence.h"

static void run(const Call& call) noexcept {
    const core::Tensor &p = call.inputs[0], &q = call.inputs[1];
    const double temperature = call.attributes.real("temperature", 1);
    const std::int64_t rows = p.shape.rows(), width = p.shape.width(), chunk = rows_per_chunk(width * 16);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            const double value = counts(call, 2, r) ? divergence(p.row_f32(r), q.row_f32(r), width, static_cast<float>(1 / temperature)).value : 0;
            call.output.row_f32(r)[0] = static_cast<float>(temperature * temperature * value);
        }
    });
}

}  // namespace tailor::ops::kl_divergence_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::kl_divergence_kernels {

static TensorType shape(const NodeView& node) {
    require_pair(node);
    require_targets(node, 2);
    require_temperature(node);
    return f32({node.inputs[0].shape.rows(), 1});
}

static void reference(const Call& call) {
    const double temperature = call.attributes.real("temperature", 1);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> p = log_softmax(call.inputs[0], r, temperature), q = log_softmax(call.inputs[1], r, temperature);
        double total = 0;
        for (std::size_t i = 0; i < p.size(); ++i) total += std::exp(p[i]) * (p[i] - q[i]);
        store_row(call.output, r, {counts(call, 2, r) ? temperature * temperature * total : 0});
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 36.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return pair_cases(false, {{{"temperature", 1.0}}, {{"temperature", 2.5}}}); }

static std::vector<Value> gradient(const Differentiation& d) {
    std::vector<Value> result(3, -1);
    for (std::int64_t side = 0; side < 2; ++side)
        if (d.wants(static_cast<std::size_t>(side)))
            result[static_cast<std::size_t>(side)] = d.graph.add("kl_divergence_gradient", {d.input(0), d.input(1), d.gradient, d.input(2)},
                                                                 {{"temperature", d.attributes.real("temperature", 1)}, {"side", side}});
    return result;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the largest logits, one for both sums and the mean difference", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::kl_divergence_kernels

namespace tailor::ops::entries {
extern const Op kl_divergence = {
    .name = "kl_divergence",
    .doc = "logits p, q [rows, classes], optional targets [rows] i32 -> [rows, 1]: t^2 KL(softmax(p / t) || softmax(q / t)), 0 where the target is below 0",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &kl_divergence_kernels::shape,
    .reference = &kl_divergence_kernels::reference,
    .kernels = kl_divergence_kernels::kernels,
    .cost = &kl_divergence_kernels::cost,
    .cases = &kl_divergence_kernels::cases,
    .gradient = &kl_divergence_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
