// Route: which k of n experts each row is sent to, best first.
//
// The router's logits become scores, s = softmax(logits), sigmoid(logits) or the logits themselves; the k largest of
// s + bias are chosen. Equal scores go to the lower index, so the choice never depends on how the work is split. Softmax and
// sigmoid keep the order of the logits, so they matter only beside a bias or groups:
//     bias    per expert, moves the choice but not the weights: Wang et al., "Auxiliary-Loss-Free Load Balancing", 2024, eq. 3
//     groups  only experts of the `groups_used` best of `groups` equal groups may be chosen. A group's score is its best
//             expert's (DeepSeek-V2, 2024, section 2.2.2) or the sum of its two best (DeepSeek-V3, 2024, section 2.1.2)
// Shazeer et al., "Outrageously Large Neural Networks", 2017, section 2.1. Scores are computed in double here, not only in the
// reference: a router has few columns, and a choice is not a thing to be off by a rounding.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/experts.h"
#include "ops/support.h"

namespace tailor::ops::route_kernels {

constexpr double never = -std::numeric_limits<double>::infinity();

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const std::int64_t experts = node.inputs[0].shape.width(), used = node.attributes.integer("used");
    const std::int64_t groups = node.attributes.integer("groups", 1), groups_used = node.attributes.integer("groups_used", groups);
    require(experts <= most_experts, core::format("route: at most {} experts are supported", most_experts), node);
    require(groups > 0 && experts % groups == 0, core::format("route: {} experts do not make {} equal groups", experts, groups), node);
    require(groups_used > 0 && groups_used <= groups, core::format("route: {} of {} groups cannot be used", groups_used, groups), node);
    require(used > 0 && used <= experts / groups * groups_used, core::format("route: {} experts of {} cannot be used", used, experts / groups * groups_used), node);
    const std::string_view scoring = node.attributes.word("scoring", "softmax"), group_score = node.attributes.word("group_score", "best");
    require(scoring == "softmax" || scoring == "sigmoid" || scoring == "logits", core::format("route: unknown scoring '{}'", scoring), node);
    require(group_score == "best" || group_score == "two best", core::format("route: unknown group score '{}'", group_score), node);
    if (node.input(1)) {
        require_f32(node, 1);
        require(node.inputs[1].shape.elements() == experts, "route: the bias must have one value per expert", node);
    }
    return i32({node.inputs[0].shape.rows(), used});
}

// What experts are chosen by; an undefined score is the worst one.
static void score(const Call& call, std::int64_t row, double* scores) noexcept {
    const std::int64_t experts = call.inputs[0].shape.width();
    const float* const logits = call.inputs[0].row_f32(row);
    const std::string_view scoring = call.attributes.word("scoring", "softmax");
    std::copy(logits, logits + experts, scores);
    if (scoring == "softmax") softmax(scores, experts);
    if (scoring == "sigmoid")
        for (std::int64_t e = 0; e < experts; ++e) scores[e] = sigmoid(scores[e]);
    if (const core::Tensor* const bias = call.input(1))
        for (std::int64_t e = 0; e < experts; ++e) scores[e] += bias->row_f32(0)[e];
    for (std::int64_t e = 0; e < experts; ++e)
        if (std::isnan(scores[e])) scores[e] = never;
}

// The largest of `count` values that is not taken yet, the first of equals; it becomes taken.
static std::int64_t take_best(const double* values, bool* taken, std::int64_t count) noexcept {
    std::int64_t best = -1;
    for (std::int64_t i = 0; i < count; ++i)
        if (!taken[i] && (best < 0 || values[i] > values[best])) best = i;
    taken[best] = true;
    return best;
}

// Marks the experts of all groups but the best as taken.
static void close_groups(const Attributes& attributes, const double* scores, std::int64_t experts, bool* taken) noexcept {
    const std::int64_t groups = attributes.integer("groups", 1), used = attributes.integer("groups_used", groups), size = experts / groups;
    if (used == groups) return;
    const bool two = attributes.word("group_score", "best") == "two best";
    double group_scores[most_experts];
    bool group_taken[most_experts] = {};
    for (std::int64_t g = 0; g < groups; ++g) {
        double first = never, second = never;
        for (std::int64_t e = g * size; e < (g + 1) * size; ++e)
            if (scores[e] > first) second = first, first = scores[e];
            else second = std::max(second, scores[e]);
        group_scores[g] = two && size > 1 ? first + second : first;
    }
    for (std::int64_t i = 0; i < used; ++i) take_best(group_scores, group_taken, groups);
    for (std::int64_t e = 0; e < experts; ++e) taken[e] = !group_taken[e / size];
}

static void choose(const Call& call, std::int64_t row) noexcept {
    const std::int64_t experts = call.inputs[0].shape.width();
    double scores[most_experts];
    bool taken[most_experts] = {};
    score(call, row, scores);
    close_groups(call.attributes, scores, experts, taken);
    for (std::int64_t j = 0; j < call.output.shape.width(); ++j) call.output.row_i32(row)[j] = static_cast<std::int32_t>(take_best(scores, taken, experts));
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.output.shape.rows(), chunk = rows_per_chunk(call.inputs[0].shape.width() * call.output.shape.width());
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) choose(call, r);
    });
}

// By sorting, where the kernel picks one expert after the other.
static void reference(const Call& call) {
    const std::int64_t experts = call.inputs[0].shape.width(), groups = call.attributes.integer("groups", 1), size = experts / groups;
    const std::int64_t groups_used = call.attributes.integer("groups_used", groups);
    const auto best_first = [](const std::vector<double>& values) {
        std::vector<std::int64_t> order(values.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
        std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)]; });
        return order;
    };
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> scores(static_cast<std::size_t>(experts)), group_scores;
        score(call, r, scores.data());
        for (std::int64_t g = 0; g < groups; ++g) {
            std::vector<double> members(scores.begin() + g * size, scores.begin() + (g + 1) * size);
            std::sort(members.rbegin(), members.rend());
            const bool two = call.attributes.word("group_score", "best") == "two best" && size > 1;
            group_scores.push_back(members[0] + (two ? members[1] : 0));
        }
        std::vector<bool> open(static_cast<std::size_t>(groups));
        const std::vector<std::int64_t> group_order = best_first(group_scores);
        for (std::int64_t i = 0; i < groups_used; ++i) open[static_cast<std::size_t>(group_order[static_cast<std::size_t>(i)])] = true;
        std::int64_t chosen = 0;
        for (const std::int64_t e : best_first(scores))
            if (open[static_cast<std::size_t>(e / size)] && chosen < call.output.shape.width()) call.output.row_i32(r)[chosen++] = static_cast<std::int32_t>(e);
    }
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements()) * static_cast<double>(node.output.shape.width()));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 5, 300})
        for (const char* const scoring : {"softmax", "sigmoid", "logits"})
            for (const bool bias : {false, true}) {
                Attributes plain{{"used", std::int64_t{4}}, {"scoring", std::string(scoring)}}, best = plain;
                best.set("groups", std::int64_t{8}), best.set("groups_used", std::int64_t{3});
                Attributes two = best;
                two.set("group_score", std::string("two best"));
                for (const Attributes& attributes : {plain, best, two})
                    list.push_back({.inputs = {f32({rows, 32}), bias ? f32({32}) : TensorType{}}, .attributes = attributes, .tolerance = 0});
            }
    list.push_back({.inputs = {f32({3, 1})}, .attributes = {{"used", std::int64_t{1}}}, .tolerance = 0});
    list.push_back({.inputs = {f32({3, 257})}, .attributes = {{"used", std::int64_t{257}}}, .tolerance = 0});
    return list;
}

static const Kernel kernels[] = {{.name = "rows", .doc = "the best expert that is left, k times", .run = {{&run}}}};

}  // namespace tailor::ops::route_kernels

namespace tailor::ops::entries {
extern const Op route = {
    .name = "route",
    .doc = "logits [rows, experts], optional bias [experts] -> [rows, used] i32: indices of the largest scores (attributes used, scoring, "
           "groups, groups_used, group_score), best first",
    .least_inputs = 1,
    .most_inputs = 2,
    .shape = &route_kernels::shape,
    .reference = &route_kernels::reference,
    .kernels = route_kernels::kernels,
    .cost = &route_kernels::cost,
    .cases = &route_kernels::cases,
    .not_differentiable = "its result is a choice, which does not move with the logits until it jumps; route_weights has the gradient of the weights",
};
}  // namespace tailor::ops::entries
