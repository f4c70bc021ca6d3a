// The gradient of top_k_divergence with respect to the logits.
//
// With the shares P and Q as there and g the gradient of the row's loss: g t (Q_i - P_i) for a stored token, g t Q_i (1 - P_rest / Q_rest) for the others.
#include "ops/top_k.h"

#define TAILOR_THIS_FILE "ops/top_k_divergence_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::top_k_divergence_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/top_k_sums.h"

static void hand_back(const TopKRow& row, double factor, float* y, std::int64_t width) noexcept {
    const double of_rest = row.rest > 0 ? row.share(row.k) * row.total / row.rest : 0;
    const auto scale = static_cast<float>(factor * (1 - of_rest) / row.total), inverse = static_cast<float>(row.inverse);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) store(y + i, exponential((load(row.logits + i) - row.largest) * inverse) * scale);
    for (; i < width; ++i) y[i] = std::exp((row.logits[i] - row.largest) * inverse) * scale;
    for (i = 0; i < row.k; ++i) y[row.ids[i]] = static_cast<float>(factor * (std::exp(row.student_log_share(i)) - row.share(i)));
}

static void run(const Call& call) noexcept {
    const core::Tensor& logits = call.inputs[0];
    const double temperature = call.attributes.real("temperature", 1);
    const std::int64_t rows = logits.shape.rows(), width = logits.shape.width(), chunk = rows_per_chunk(width * 8);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            if (counts(call, 4, r)) hand_back(TopKRow(call, r, 1 / temperature), static_cast<double>(call.inputs[3].row_f32(r)[0]) * temperature, call.output.row_f32(r), width);
            else std::fill_n(call.output.row_f32(r), width, 0.0f);
        }
    });
}

}  // namespace tailor::ops::top_k_divergence_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::top_k_divergence_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_top_k(node, 4);
    require_row_gradient(node, 3);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const double temperature = call.attributes.real("temperature", 1);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> q = log_softmax(call.inputs[0], r, temperature), p = log_softmax(call.inputs[1], r, temperature);
        const std::int32_t* const ids = call.inputs[2].row_i32(r);
        const std::size_t k = p.size() - 1;
        const std::vector<double> together = group_by_ids(q, ids, k);
        const double factor = counts(call, 4, r) ? temperature * static_cast<double>(call.inputs[3].row_f32(r)[0]) : 0;
        std::vector<double> y(q.size());
        for (std::size_t i = 0; i < q.size(); ++i) y[i] = factor * std::exp(q[i]) * (1 - std::exp(p[k] - together[k]));
        for (std::size_t i = 0; i < k; ++i) y[static_cast<std::size_t>(ids[i])] = factor * (std::exp(q[static_cast<std::size_t>(ids[i])]) - std::exp(p[i]));
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 32.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return top_k_cases(true); }

static const Kernel kernels[] = {{.name = "simd", .doc = "the sums, one pass for all tokens as if none were stored, then the stored ones", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::top_k_divergence_gradient_kernels

namespace tailor::ops::entries {
extern const Op top_k_divergence_gradient = {
    .name = "top_k_divergence_gradient",
    .doc = "logits [rows, classes], top [rows, k + 1], ids [rows, k] i32, gradient [rows, 1], optional targets [rows] i32 -> [rows, classes]: the gradient of top_k_divergence",
    .least_inputs = 4,
    .most_inputs = 5,
    .shape = &top_k_divergence_gradient_kernels::shape,
    .reference = &top_k_divergence_gradient_kernels::reference,
    .kernels = top_k_divergence_gradient_kernels::kernels,
    .cost = &top_k_divergence_gradient_kernels::cost,
    .cases = &top_k_divergence_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of the loss are not built",
};
}  // namespace tailor::ops::entries
#endif
