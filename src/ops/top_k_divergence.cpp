// Divergence from stored answers: the k most likely tokens of a teacher with their logits, and the logit of all others together.
//
//     z[r] = t^2 (sum over the k tokens i of P_i (ln P_i - ln Q_i) + P_rest (ln P_rest - ln Q_rest))
//     P = softmax over the k + 1 numbers of `top` divided by t;  Q_i = softmax(logits / t)_i,  Q_rest = the sum of Q over all other tokens
// It is kl_divergence with the unlikely tokens taken together: never above it, equal to it when k is the whole vocabulary (the last number is
// then minus infinity). ids of a row ascend, so that the others are summed between them and not as a difference, which cancels.
#include "ops/top_k.h"

#define TAILOR_THIS_FILE "ops/top_k_divergence.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::top_k_divergence_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/top_k_sums.h"

static void run(const Call& call) noexcept {
    const core::Tensor& logits = call.inputs[0];
    const double temperature = call.attributes.real("temperature", 1);
    const std::int64_t rows = logits.shape.rows(), width = logits.shape.width(), chunk = rows_per_chunk(width * 8);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            double value = 0;
            if (counts(call, 3, r)) {
                const TopKRow row(call, r, 1 / temperature);
                for (std::int64_t i = 0; i < row.k; ++i) value += row.share(i) * (row.log_share(i) - row.student_log_share(i));
                if (row.share(row.k) > 0) value += row.share(row.k) * (row.log_share(row.k) - row.student_log_rest());
            }
            call.output.row_f32(r)[0] = static_cast<float>(temperature * temperature * value);
        }
    });
}

}  // namespace tailor::ops::top_k_divergence_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::top_k_divergence_kernels {

static TensorType shape(const NodeView& node) {
    require_top_k(node, 3);
    return f32({node.inputs[0].shape.rows(), 1});
}

static void reference(const Call& call) {
    const double temperature = call.attributes.real("temperature", 1);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> q = log_softmax(call.inputs[0], r, temperature), p = log_softmax(call.inputs[1], r, temperature);
        const std::vector<double> together = group_by_ids(q, call.inputs[2].row_i32(r), p.size() - 1);
        double total = 0;
        for (std::size_t i = 0; i < p.size(); ++i)
            if (p[i] > -1e30) total += std::exp(p[i]) * (p[i] - together[i]);
        store_row(call.output, r, {counts(call, 3, r) ? temperature * temperature * total : 0});
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 16.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return top_k_cases(false); }

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.graph.add("top_k_divergence_gradient", {d.input(0), d.input(1), d.input(2), d.gradient, d.input(3)}, {{"temperature", d.attributes.real("temperature", 1)}}), -1, -1, -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "sums of the student's exponentials between the stored tokens", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::top_k_divergence_kernels

namespace tailor::ops::entries {
extern const Op top_k_divergence = {
    .name = "top_k_divergence",
    .doc = "logits [rows, classes], top [rows, k + 1], ids [rows, k] i32 ascending, optional targets [rows] i32 -> [rows, 1]: t^2 KL(softmax(top / t) || softmax(logits / t)), the classes that are no ids taken as one",
    .least_inputs = 3,
    .most_inputs = 4,
    .shape = &top_k_divergence_kernels::shape,
    .reference = &top_k_divergence_kernels::reference,
    .kernels = top_k_divergence_kernels::kernels,
    .cost = &top_k_divergence_kernels::cost,
    .cases = &top_k_divergence_kernels::cases,
    .gradient = &top_k_divergence_kernels::gradient,
    .tables = 1U << 1,
};
}  // namespace tailor::ops::entries
#endif
