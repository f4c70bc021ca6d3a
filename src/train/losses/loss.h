// Losses of distillation: what a student must match, and how far off it is, token by token.
//
// A loss is one file src/train/losses/<name>.cpp that defines `extern const Loss <name>` in namespace tailor::train::losses::entries: it adds
// nodes to the graph of a step, in which the teacher's network stands beside the student's. Distillation (train/distillation.h) sums
// those that were asked for, by their weights.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "train/objective.h"

namespace tailor::train::losses {

/// What there is to match. Layers are counted by the student's; what the teacher has beside them is already chosen.
struct Context {
    graph::Graph& graph;
    Ends ends;
    double temperature = 1;
    graph::Value teacher_logits = graph::absent;       ///< of a teacher that runs
    graph::Value top = graph::absent, top_ids = graph::absent;  ///< of one whose answers are stored: {rows, k + 1} and i32 {rows, k} (ops/top_k_divergence.cpp)
    /// The residual stream: state i is what layer i reads, the last is what all layers leave behind.
    std::vector<graph::Value> student, teacher;
    /// The student's state in the width of the teacher's: itself, or a trained projection of it, one for each i.
    std::function<graph::Value(std::size_t i, graph::Value state)> project;
};

/// What a loss reads of the teacher.
enum class Needs { nothing, answers, logits, states };

struct Loss {
    std::string_view name;  ///< "kl"
    std::string_view doc;   ///< one sentence
    Needs needs = Needs::nothing;
    /// The loss of each row, f32 {rows, 1}, 0 where the target is below 0.
    graph::Value (*add)(Context& context) = nullptr;
};

/// The mean of losses of rows.
graph::Value mean(graph::Graph& graph, const std::vector<graph::Value>& losses);

}  // namespace tailor::train::losses
