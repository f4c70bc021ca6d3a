// Cross-entropy: the loss of a language model per row, -ln softmax(logits)[target].
//
// loss[r] = ln(sum over i of exp(logits[r, i] - m)) + m - logits[r, target], m the largest logit. Rows whose target is below 0
// count nothing: padding, prompts. Sums are kept in double: the loss is a small difference of large numbers.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/losses.h"

#define TAILOR_THIS_FILE "ops/cross_entropy.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::cross_entropy_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/softmax_sums.h"

static void run(const Call& call) noexcept {
    const core::Tensor& logits = call.inputs[0];
    const std::int64_t rows = logits.shape.rows(), width = logits.shape.width(), chunk = rows_per_chunk(width * 8);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            const std::int32_t target = call.inputs[1].row_i32(0)[r];
            const SoftmaxSums sums = softmax_sums(logits.row_f32(r), width);
            call.output.row_f32(r)[0] = target < 0 ? 0.0f : static_cast<float>(std::log(sums.total) + static_cast<double>(sums.largest) - static_cast<double>(logits.row_f32(r)[target]));
        }
    });
}

}  // namespace tailor::ops::cross_entropy_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::cross_entropy_kernels {

static TensorType shape(const NodeView& node) {
    require_losses(node);
    return f32({node.inputs[0].shape.rows(), 1});
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> logits = row_as_double(call.inputs[0], r);
        const std::int32_t target = call.inputs[1].row_i32(0)[r];
        const double most = *std::max_element(logits.begin(), logits.end());
        double total = 0;
        for (const double v : logits) total += std::exp(v - most);
        store_row(call.output, r, {target < 0 ? 0 : std::log(total) + most - logits[static_cast<std::size_t>(target)]});
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 16.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return loss_cases(false); }

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("cross_entropy_gradient", {d.input(0), d.input(1), d.gradient}), -1}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the largest logit, one for the sum", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::cross_entropy_kernels

namespace tailor::ops::entries {
extern const Op cross_entropy = {
    .name = "cross_entropy",
    .doc = "logits [rows, classes], targets [rows] i32 -> [rows, 1]: -ln softmax(logits)[target], 0 where the target is below 0",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &cross_entropy_kernels::shape,
    .reference = &cross_entropy_kernels::reference,
    .kernels = cross_entropy_kernels::kernels,
    .cost = &cross_entropy_kernels::cost,
    .cases = &cross_entropy_kernels::cases,
    .gradient = &cross_entropy_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
