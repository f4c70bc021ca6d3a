// Expert scale: each row once per expert it goes to, times that expert's weight, x[r] * w[r, j].
//
// Most families weigh what an expert answers (expert_sum); Llama 4 weighs what it is asked.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/expert_scale.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::expert_scale_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void scale(const float* x, float weight, float* y, std::int64_t width) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) store(y + i, load(x + i) * weight);
    for (; i < width; ++i) y[i] = x[i] * weight;
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.output.shape.rows(), width = call.output.shape.width(), used = call.inputs[1].shape.width(), chunk = rows_per_chunk(width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t p = c * chunk; p < std::min(rows, (c + 1) * chunk); ++p)
            scale(call.inputs[0].row_f32(p / used), call.inputs[1].row_f32(p / used)[p % used], call.output.row_f32(p), width);
    });
}

}  // namespace tailor::ops::expert_scale_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::expert_scale_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[0].shape.rows() == node.inputs[1].shape.rows(), "expert_scale: x and the weights must have the same rows", node);
    return f32({node.inputs[1].shape.elements(), node.inputs[0].shape.width()});
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.inputs[0].shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r), weights = row_as_double(call.inputs[1], r);
        for (std::size_t j = 0; j < weights.size(); ++j) {
            std::vector<double> y = x;
            for (double& v : y) v *= weights[j];
            store_row(call.output, r * static_cast<std::int64_t>(weights.size()) + static_cast<std::int64_t>(j), y);
        }
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, static_cast<double>(node.output.shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 130})
        for (const std::int64_t width : {1, 37, 256})
            for (const std::int64_t used : {1, 3}) list.push_back({.inputs = {f32({rows, width}), f32({rows, used})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("expert_sum", {d.gradient, d.input(1)}, {{"used", d.shape(1).width()}}) : -1,
            d.wants(1) ? d.graph.add("row_dot", {d.gradient, d.input(0)}) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::expert_scale_kernels

namespace tailor::ops::entries {
extern const Op expert_scale = {
    .name = "expert_scale",
    .doc = "x [rows, width], weights [rows, used] -> [rows * used, width]: row r * used + j is x[r] * weights[r, j]",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &expert_scale_kernels::shape,
    .reference = &expert_scale_kernels::reference,
    .kernels = expert_scale_kernels::kernels,
    .cost = &expert_scale_kernels::cost,
    .cases = &expert_scale_kernels::cases,
    .gradient = &expert_scale_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
