// Route weights: how much each chosen expert counts.
//
// For the experts `ids` of a row, with s the scores of its logits:
//     w_j = s[ids_j],  divided by sum over j of w_j if `normalize`,  times `scale`
// where s is softmax over all experts (Shazeer et al., 2017), sigmoid (DeepSeek-V3, 2024, equation 15), or softmax over the
// chosen ones alone (`chosen`: Mixtral and gpt-oss; the same as softmax normalized, without the risk of dividing by little).
// A bias that moved the choice does not enter.
#include "ops/experts.h"
#include "ops/support.h"

namespace tailor::ops::route_weights_kernels {

// What HF's DeepSeek-V3 adds to the sum of weights it divides by.
constexpr double least_sum = 1e-20;

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.rows() == node.inputs[0].shape.rows(), "route_weights: ids must be i32 [rows, used]", node);
    require(node.inputs[0].shape.width() <= most_experts && node.inputs[1].shape.width() <= node.inputs[0].shape.width(), "route_weights: too many experts", node);
    const std::string_view scoring = node.attributes.word("scoring", "softmax");
    require(scoring == "softmax" || scoring == "sigmoid" || scoring == "chosen", core::format("route_weights: unknown scoring '{}'", scoring), node);
    return f32(node.inputs[1].shape);
}

static void weigh(const Call& call, std::int64_t row) noexcept {
    const std::int64_t experts = call.inputs[0].shape.width(), used = call.output.shape.width();
    const float* const logits = call.inputs[0].row_f32(row);
    const std::int32_t* const ids = call.inputs[1].row_i32(row);
    const std::string_view scoring = call.attributes.word("scoring", "softmax");
    double scores[most_experts], weights[most_experts], total = 0;
    if (scoring == "softmax") {
        std::copy(logits, logits + experts, scores);
        softmax(scores, experts);
    }
    for (std::int64_t j = 0; j < used; ++j) weights[j] = scoring == "softmax" ? scores[ids[j]] : scoring == "sigmoid" ? sigmoid(logits[ids[j]]) : logits[ids[j]];
    if (scoring == "chosen") softmax(weights, used);
    for (std::int64_t j = 0; j < used; ++j) total += weights[j];
    const double factor = call.attributes.real("scale", 1) / (call.attributes.integer("normalize", 0) ? total + least_sum : 1);
    for (std::int64_t j = 0; j < used; ++j) call.output.row_f32(row)[j] = static_cast<float>(weights[j] * factor);
}

static void run(const Call& call) noexcept {
    // An exponential costs about as much as sixteen simple operations.
    const std::int64_t rows = call.output.shape.rows(), chunk = rows_per_chunk(16 * call.inputs[0].shape.width());
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) weigh(call, r);
    });
}

// Straight from the formula, without the shift by the largest logit.
static void reference(const Call& call) {
    const std::string_view scoring = call.attributes.word("scoring", "softmax");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> logits = row_as_double(call.inputs[0], r);
        const std::int32_t* const ids = call.inputs[1].row_i32(r);
        double all = 0, chosen = 0;
        for (const double v : logits) all += std::exp(v);
        std::vector<double> weights;
        for (std::int64_t j = 0; j < call.output.shape.width(); ++j) {
            const double power = std::exp(logits[static_cast<std::size_t>(ids[j])]);
            weights.push_back(scoring == "sigmoid" ? power / (1 + power) : scoring == "softmax" ? power / all : power);
            chosen += weights.back();
        }
        const bool divided = scoring == "chosen" || call.attributes.integer("normalize", 0);
        for (double& w : weights) w *= call.attributes.real("scale", 1) / (divided ? chosen : 1);
        store_row(call.output, r, weights);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 16.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 300})
        for (const char* const scoring : {"softmax", "sigmoid", "chosen"})
            for (const std::int64_t normalize : {0, 1})
                list.push_back({.inputs = {f32({rows, 40}), i32({rows, 6})},
                                .attributes = {{"scoring", std::string(scoring)}, {"normalize", normalize}, {"scale", normalize ? 2.5 : 1.0}},
                                .index_limit = 40});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.graph.add("route_weights_gradient", {d.input(0), d.input(1), d.gradient}, d.attributes), -1};
}

static const Kernel kernels[] = {{.name = "rows", .doc = "one row after the other, in double", .run = {{&run}}}};

}  // namespace tailor::ops::route_weights_kernels

namespace tailor::ops::entries {
extern const Op route_weights = {
    .name = "route_weights",
    .doc = "logits [rows, experts], ids [rows, used] i32 -> [rows, used]: the scores of the chosen experts (attributes scoring, normalize, scale)",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &route_weights_kernels::shape,
    .reference = &route_weights_kernels::reference,
    .kernels = route_weights_kernels::kernels,
    .cost = &route_weights_kernels::cost,
    .cases = &route_weights_kernels::cases,
    .gradient = &route_weights_kernels::gradient,
};
}  // namespace tailor::ops::entries
