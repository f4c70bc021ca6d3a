// Route weights gradient: what the weights of a row's chosen experts hand back to the router's logits.
//
// With u_j the weights before they are divided by their sum t (if they are) and h the gradient of the result, times `scale`:
//     divided:   du_j = (h_j - sum over i of h_i u_i / t) / t,    else du_j = h_j
//     softmax over all experts:  dlogit_e = u_e du_e - s_e sum over j of u_j du_j, where u_e du_e counts for chosen experts only
//     sigmoid:                   dlogit_e = u_e (1 - u_e) du_e,   of chosen experts
//     softmax over the chosen:   dlogit_e = u_e (du_e - sum over j of u_j du_j), of chosen experts
// See route_weights.cpp for the three kinds. An expert that was chosen twice gets both. In double, as there.
#include <algorithm>
#include <cmath>

#include "ops/experts.h"
#include "ops/support.h"

namespace tailor::ops::route_weights_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 2);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.rows() == node.inputs[0].shape.rows(), "route_weights_gradient: ids must be i32 [rows, used]", node);
    require(node.inputs[2].shape == node.inputs[1].shape, "route_weights_gradient: one gradient per id is needed", node);
    require(node.inputs[0].shape.width() <= most_experts && node.inputs[1].shape.width() <= most_experts, "route_weights_gradient: too many experts", node);
    return node.inputs[0];
}

static void hand_back(const Call& call, std::int64_t row) noexcept {
    const std::int64_t experts = call.inputs[0].shape.width(), used = call.inputs[1].shape.width();
    const float *const logits = call.inputs[0].row_f32(row), *const gradient = call.inputs[2].row_f32(row);
    const std::int32_t* const ids = call.inputs[1].row_i32(row);
    const std::string_view scoring = call.attributes.word("scoring", "softmax");
    double scores[most_experts], weights[most_experts], back[most_experts], result[most_experts] = {};
    std::copy(logits, logits + experts, scores);
    if (scoring == "softmax") softmax(scores, experts);
    for (std::int64_t j = 0; j < used; ++j) weights[j] = scoring == "sigmoid" ? sigmoid(scores[ids[j]]) : scores[ids[j]];
    if (scoring == "chosen") softmax(weights, used);
    double total = 0, projected = 0;
    for (std::int64_t j = 0; j < used; ++j) back[j] = call.attributes.real("scale", 1) * gradient[j], total += weights[j], projected += back[j] * weights[j];
    if (call.attributes.integer("normalize", 0))
        for (std::int64_t j = 0; j < used; ++j) back[j] = (back[j] - projected / total) / total;
    projected = 0;
    for (std::int64_t j = 0; j < used; ++j) projected += weights[j] * back[j];
    for (std::int64_t j = 0; j < used; ++j) result[ids[j]] += scoring == "sigmoid" ? weights[j] * (1 - weights[j]) * back[j] : weights[j] * (back[j] - (scoring == "chosen" ? projected : 0));
    for (std::int64_t e = 0; e < experts; ++e) call.output.row_f32(row)[e] = static_cast<float>(result[e] - (scoring == "softmax" ? scores[e] * projected : 0));
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.output.shape.rows(), chunk = rows_per_chunk(16 * call.inputs[0].shape.width());
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) hand_back(call, r);
    });
}

/// The weights of a row as route_weights.cpp defines them, for these logits.
static std::vector<double> weigh(const Attributes& a, const std::vector<double>& logits, const std::int32_t* ids, std::int64_t used) {
    const std::string_view scoring = a.word("scoring", "softmax");
    double all = 0, chosen = 0;
    for (const double v : logits) all += std::exp(v);
    std::vector<double> weights;
    for (std::int64_t j = 0; j < used; ++j) {
        const double power = std::exp(logits[static_cast<std::size_t>(ids[j])]);
        weights.push_back(scoring == "sigmoid" ? power / (1 + power) : scoring == "softmax" ? power / all : power);
        chosen += weights.back();
    }
    for (double& w : weights) w *= a.real("scale", 1) / (scoring == "chosen" || a.integer("normalize", 0) ? chosen : 1);
    return weights;
}

// By differences of the definition, in double: another way than the formulas of the kernel.
static void reference(const Call& call) {
    constexpr double step = 1e-5;
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> logits = row_as_double(call.inputs[0], r), result;
        const std::vector<double> gradient = row_as_double(call.inputs[2], r);
        for (double& logit : logits) {
            const double before = logit;
            logit = before + step;
            const std::vector<double> above = weigh(call.attributes, logits, call.inputs[1].row_i32(r), static_cast<std::int64_t>(gradient.size()));
            logit = before - step;
            const std::vector<double> below = weigh(call.attributes, logits, call.inputs[1].row_i32(r), static_cast<std::int64_t>(gradient.size()));
            logit = before;
            double total = 0;
            for (std::size_t j = 0; j < gradient.size(); ++j) total += gradient[j] * (above[j] - below[j]) / (2 * step);
            result.push_back(total);
        }
        store_row(call.output, r, result);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 16.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 30})
        for (const char* const scoring : {"softmax", "sigmoid", "chosen"})
            for (const std::int64_t normalize : {0, 1})
                list.push_back({.inputs = {f32({rows, 40}), i32({rows, 6}), f32({rows, 6})},
                                .attributes = {{"scoring", std::string(scoring)}, {"normalize", normalize}, {"scale", normalize ? 2.5 : 1.0}},
                                .index_limit = 40});
    return list;
}

static const Kernel kernels[] = {{.name = "rows", .doc = "one row after the other, in double", .run = {{&run}}}};

}  // namespace tailor::ops::route_weights_gradient_kernels

namespace tailor::ops::entries {
extern const Op route_weights_gradient = {
    .name = "route_weights_gradient",
    .doc = "logits [rows, experts], ids [rows, used] i32, gradient [rows, used] -> [rows, experts]: the gradient of route_weights' logits (its attributes)",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &route_weights_gradient_kernels::shape,
    .reference = &route_weights_gradient_kernels::reference,
    .kernels = route_weights_gradient_kernels::kernels,
    .cost = &route_weights_gradient_kernels::cost,
    .cases = &route_weights_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of routing are not built",
};
}  // namespace tailor::ops::entries
