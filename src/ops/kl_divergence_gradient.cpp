// The gradient of kl_divergence, with respect to one of its two sides.
//
// With P, Q, t and the divergence D (without the factor t^2) as there, and g the gradient of the row's loss:
//     side 1, of q:  g t (Q_i - P_i)
//     side 0, of p:  g t P_i (ln P_i - ln Q_i - D)
// The sums are computed anew, as in cross_entropy_gradient.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/distillation.h"

#define TAILOR_THIS_FILE "ops/kl_divergence_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::kl_divergence_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/divergence.h"

static void of_q(const float* p, const float* q, float factor, float inverse_temperature, const Divergence& d, float* y, std::int64_t width) noexcept {
    const auto scale_p = static_cast<float>(static_cast<double>(factor) / d.total_p), scale_q = static_cast<float>(static_cast<double>(factor) / d.total_q);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes)
        store(y + i, exponential((load(q + i) - d.largest_q) * inverse_temperature) * scale_q - exponential((load(p + i) - d.largest_p) * inverse_temperature) * scale_p);
    for (; i < width; ++i) y[i] = std::exp((q[i] - d.largest_q) * inverse_temperature) * scale_q - std::exp((p[i] - d.largest_p) * inverse_temperature) * scale_p;
}

static void of_p(const float* p, const float* q, float factor, float inverse_temperature, const Divergence& d, float* y, std::int64_t width) noexcept {
    const auto scale = static_cast<float>(static_cast<double>(factor) / d.total_p), less = static_cast<float>(d.log_ratio + d.value);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
        const Vector x = load(p + i);
        store(y + i, exponential((x - d.largest_p) * inverse_temperature) * scale * ((x - load(q + i)) * inverse_temperature - less));
    }
    for (; i < width; ++i) y[i] = std::exp((p[i] - d.largest_p) * inverse_temperature) * scale * ((p[i] - q[i]) * inverse_temperature - less);
}

static void run(const Call& call) noexcept {
    const core::Tensor &p = call.inputs[0], &q = call.inputs[1];
    const double temperature = call.attributes.real("temperature", 1);
    const auto inverse = static_cast<float>(1 / temperature);
    const bool second = call.attributes.integer("side") == 1;
    const std::int64_t rows = p.shape.rows(), width = p.shape.width(), chunk = rows_per_chunk(width * 16);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            if (!counts(call, 3, r)) {
                std::fill_n(call.output.row_f32(r), width, 0.0f);
                continue;
            }
            const Divergence d = divergence(p.row_f32(r), q.row_f32(r), width, inverse);
            const auto factor = static_cast<float>(static_cast<double>(call.inputs[2].row_f32(r)[0]) * temperature);
            (second ? of_q : of_p)(p.row_f32(r), q.row_f32(r), factor, inverse, d, call.output.row_f32(r), width);
        }
    });
}

}  // namespace tailor::ops::kl_divergence_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::kl_divergence_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_pair(node);
    require_row_gradient(node, 2);
    require_targets(node, 3);
    require_temperature(node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const double temperature = call.attributes.real("temperature", 1);
    const bool second = call.attributes.integer("side") == 1;
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> p = log_softmax(call.inputs[0], r, temperature), q = log_softmax(call.inputs[1], r, temperature);
        const double factor = counts(call, 3, r) ? temperature * static_cast<double>(call.inputs[2].row_f32(r)[0]) : 0;
        double total = 0;
        for (std::size_t i = 0; i < p.size(); ++i) total += std::exp(p[i]) * (p[i] - q[i]);
        std::vector<double> y(p.size());
        for (std::size_t i = 0; i < p.size(); ++i) y[i] = factor * (second ? std::exp(q[i]) - std::exp(p[i]) : std::exp(p[i]) * (p[i] - q[i] - total));
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 64.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    const std::int64_t first = 0, second = 1;
    return pair_cases(true, {{{"temperature", 1.0}, {"side", first}}, {{"temperature", 2.5}, {"side", second}}});
}

static const Kernel kernels[] = {{.name = "simd", .doc = "the sums of kl_divergence, then one pass", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::kl_divergence_gradient_kernels

namespace tailor::ops::entries {
extern const Op kl_divergence_gradient = {
    .name = "kl_divergence_gradient",
    .doc = "logits p, q [rows, classes], gradient [rows, 1], optional targets [rows] i32 -> [rows, classes]: the gradient of kl_divergence of p (side 0) or q (side 1)",
    .least_inputs = 3,
    .most_inputs = 4,
    .shape = &kl_divergence_gradient_kernels::shape,
    .reference = &kl_divergence_gradient_kernels::reference,
    .kernels = kl_divergence_gradient_kernels::kernels,
    .cost = &kl_divergence_gradient_kernels::cost,
    .cases = &kl_divergence_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of the loss are not built",
};
}  // namespace tailor::ops::entries
#endif
