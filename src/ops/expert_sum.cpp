// Expert sum: what the chosen experts of a row answered becomes one row,
//     out[r] = sum over j of w[r, j] y[r * used + j]  +  sigmoid(gate[r]) shared[r]
//
// Shazeer et al., "Outrageously Large Neural Networks", 2017, equation 1; the shared expert, which every row visits, is DeepSeekMoE's
// (Dai et al., 2024, equation 9), its gate Qwen2-MoE's. Weights, shared and gate are optional; where absent they count as 1, 0 and
// 1. The sum runs over j in order, so that it has the same bits however rows are spread over threads.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/expert_sum.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::expert_sum_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// y += x * weight
static void add(const float* x, float weight, float* y, std::int64_t width) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) store(y + i, fused(load(x + i), broadcast(weight), load(y + i)));
    for (; i < width; ++i) y[i] += x[i] * weight;
}

static void sum_row(const Call& call, std::int64_t row) noexcept {
    const std::int64_t used = call.attributes.integer("used"), width = call.output.shape.width();
    const core::Tensor *const weights = call.input(1), *const shared = call.input(2), *const gate = call.input(3);
    float* const y = call.output.row_f32(row);
    std::memset(y, 0, static_cast<std::size_t>(width) * 4);
    for (std::int64_t j = 0; j < used; ++j) add(call.inputs[0].row_f32(row * used + j), weights ? weights->row_f32(row)[j] : 1.0f, y, width);
    if (shared) add(shared->row_f32(row), gate ? 1 / (1 + std::exp(-gate->row_f32(row)[0])) : 1.0f, y, width);
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.output.shape.rows(), chunk = rows_per_chunk(call.output.shape.width() * call.attributes.integer("used"));
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) sum_row(call, r);
    });
}

}  // namespace tailor::ops::expert_sum_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::expert_sum_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const std::int64_t used = node.attributes.integer("used");
    require(used > 0 && node.inputs[0].shape.rows() % used == 0, core::format("expert_sum: the rows are no multiple of {} experts", used), node);
    const std::int64_t rows = node.inputs[0].shape.rows() / used, width = node.inputs[0].shape.width();
    if (node.input(1)) {
        require_f32(node, 1);
        require(node.inputs[1].shape == core::Shape({rows, used}), "expert_sum: the weights must be [rows, used]", node);
    }
    if (node.input(2)) {
        require_f32(node, 2);
        require(node.inputs[2].shape == core::Shape({rows, width}), "expert_sum: the shared part must be [rows, width]", node);
    }
    if (node.input(3)) {
        require_f32(node, 3);
        require(node.input(2) && node.inputs[3].shape == core::Shape({rows, 1}), "expert_sum: the gate must be [rows, 1] and have something to gate", node);
    }
    return f32({rows, width});
}

static void reference(const Call& call) {
    const std::int64_t used = call.attributes.integer("used");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> total(static_cast<std::size_t>(call.output.shape.width()));
        const auto add = [&](const std::vector<double>& x, double weight) {
            for (std::size_t i = 0; i < x.size(); ++i) total[i] += x[i] * weight;
        };
        for (std::int64_t j = 0; j < used; ++j) add(row_as_double(call.inputs[0], r * used + j), call.input(1) ? call.input(1)->row_f32(r)[j] : 1.0);
        if (call.input(2)) add(row_as_double(*call.input(2), r), call.input(3) ? 1 / (1 + std::exp(-static_cast<double>(call.input(3)->row_f32(r)[0]))) : 1.0);
        store_row(call.output, r, total);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 130})
        for (const std::int64_t width : {1, 37, 256})
            for (const std::int64_t used : {1, 4})
                for (int extras = 0; extras < 4; ++extras)
                    list.push_back({.inputs = {f32({rows * used, width}), extras > 0 ? f32({rows, used}) : TensorType{}, extras > 1 ? f32({rows, width}) : TensorType{},
                                               extras > 2 ? f32({rows, 1}) : TensorType{}},
                                    .attributes = {{"used", used}}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t used = d.attributes.integer("used"), rows = d.shape(0).rows() / used;
    std::vector<Value> result(4, -1);
    if (d.wants(0)) result[0] = d.graph.add("expert_scale", {d.gradient, d.input(1) >= 0 ? d.input(1) : d.graph.filled({rows, used}, 1)});
    if (d.wants(1)) result[1] = d.graph.add("row_dot", {d.input(0), d.gradient});
    if (d.input(3) < 0) {
        if (d.wants(2)) result[2] = d.gradient;
        return result;
    }
    const Value share = d.graph.add("sigmoid", {d.input(3)});
    if (d.wants(2)) result[2] = d.graph.add("expert_scale", {d.gradient, share});
    if (d.wants(3)) result[3] = d.graph.add("sigmoid_gradient", {share, d.graph.add("row_dot", {d.gradient, d.input(2)})});
    return result;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one expert after the other into the row's place", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::expert_sum_kernels

namespace tailor::ops::entries {
extern const Op expert_sum = {
    .name = "expert_sum",
    .doc = "y [rows * used, width], optional weights [rows, used], optional shared [rows, width], optional gate [rows, 1] -> [rows, width]: "
           "sum of weights[r, j] y[r * used + j], plus sigmoid(gate) shared",
    .least_inputs = 1,
    .most_inputs = 4,
    .shape = &expert_sum_kernels::shape,
    .reference = &expert_sum_kernels::reference,
    .kernels = expert_sum_kernels::kernels,
    .cost = &expert_sum_kernels::cost,
    .cases = &expert_sum_kernels::cases,
    .gradient = &expert_sum_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
