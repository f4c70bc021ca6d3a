// Cross-entropy gradient: softmax(logits) less 1 at the target, times the gradient of the row's loss.
//
// The sums of the softmax are computed anew rather than kept: logits are read once more than they would be, and nothing but them
// need be held until then.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/losses.h"

#define TAILOR_THIS_FILE "ops/cross_entropy_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::cross_entropy_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/softmax_sums.h"

static void hand_back(const float* logits, std::int32_t target, float gradient, float* y, std::int64_t width) noexcept {
    if (target < 0) {
        std::fill_n(y, width, 0.0f);
        return;
    }
    const SoftmaxSums sums = softmax_sums(logits, width);
    const auto scale = static_cast<float>(static_cast<double>(gradient) / sums.total);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) store(y + i, exponential(load(logits + i) - sums.largest) * scale);
    for (; i < width; ++i) y[i] = std::exp(logits[i] - sums.largest) * scale;
    y[target] -= gradient;
}

static void run(const Call& call) noexcept {
    const core::Tensor& logits = call.inputs[0];
    const std::int64_t rows = logits.shape.rows(), width = logits.shape.width(), chunk = rows_per_chunk(width * 8);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            hand_back(logits.row_f32(r), call.inputs[1].row_i32(0)[r], call.inputs[2].row_f32(r)[0], call.output.row_f32(r), width);
    });
}

}  // namespace tailor::ops::cross_entropy_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::cross_entropy_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_losses(node);
    require_f32(node, 2);
    require(node.inputs[2].shape.elements() == node.inputs[0].shape.rows() && node.inputs[2].shape.width() == 1, "cross_entropy_gradient: one gradient per row is needed", node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> y = row_as_double(call.inputs[0], r);
        const std::int32_t target = call.inputs[1].row_i32(0)[r];
        const double most = *std::max_element(y.begin(), y.end()), gradient = target < 0 ? 0 : static_cast<double>(call.inputs[2].row_f32(r)[0]);
        double total = 0;
        for (double& v : y) total += v = std::exp(v - most);
        for (double& v : y) v *= gradient / total;
        if (target >= 0) y[static_cast<std::size_t>(target)] -= gradient;
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 32.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return loss_cases(true); }

static const Kernel kernels[] = {{.name = "simd", .doc = "the sums of the softmax, then one pass", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::cross_entropy_gradient_kernels

namespace tailor::ops::entries {
extern const Op cross_entropy_gradient = {
    .name = "cross_entropy_gradient",
    .doc = "logits [rows, classes], targets [rows] i32, gradient [rows, 1] -> [rows, classes]: gradient * (softmax(logits) - 1 at the target)",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &cross_entropy_gradient_kernels::shape,
    .reference = &cross_entropy_gradient_kernels::reference,
    .kernels = cross_entropy_gradient_kernels::kernels,
    .cost = &cross_entropy_gradient_kernels::cost,
    .in_place = true,
    .cases = &cross_entropy_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of the loss are not built",
};
}  // namespace tailor::ops::entries
#endif
