// What a training minimizes, and which weights it moves for that.
//
// By default: every weight that can be trained, and the mean of -log p(next token). Another objective is one class: adapters add matrices of
// their own beside frozen ones, quantization-aware training rounds weights on the way forth, distillation adds a teacher and another
// loss. All of them state it as nodes of the graph; the gradient pass, the policies of memory and the optimizers then apply to it unchanged.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/pool.h"
#include "graph/plan.h"
#include "train/checkpoint.h"

namespace tailor::train {

/// Where an objective's loss is stated: the graph of a step, with the logits {rows, vocabulary} and the targets, i32 {rows}, of this batch.
struct Ends {
    graph::Value logits = graph::absent, targets = graph::absent;
    std::int64_t rows = 0, context = 0;
};

class Objective {
  public:
    virtual ~Objective() = default;

    /// Whether the file's weight of this name is trained. What is not keeps its format and its memory.
    virtual bool trains(std::string_view weight) const { return static_cast<void>(weight), true; }
    /// The graph of the model as it is trained, from the one the family built. New constants in f32 that a gradient reaches are
    /// trained too; the objective owns their memory.
    virtual graph::Graph prepare(graph::Graph built) { return built; }
    /// Adds the losses, f32 {rows, 1}, 0 for rows whose target is below 0. Called once, on the graph of a step.
    virtual graph::Value loss(graph::Graph& step, const Ends& ends) {
        return step.add("cross_entropy", {ends.logits, ends.targets}, {}, "loss");
    }
    /// Called before every step, with the number of those that were made: whatever changes from step to step without a gradient.
    virtual void begin_step(std::int64_t steps, core::Pool& pool) { static_cast<void>(steps), static_cast<void>(pool); }
    /// Called before every run of the plan of a step, for inputs that loss() added; `ids` are this run's.
    virtual void set_inputs(graph::Plan& plan, std::span<const std::int32_t> ids) { static_cast<void>(plan), static_cast<void>(ids); }
    /// What a training that goes on must have in common with the one before, as text: "kl=1 of teacher.gguf 0123abcd"; empty: nothing.
    virtual std::string identity() const { return {}; }
    /// What begin_step() changes and a checkpoint must hold.
    virtual std::vector<Piece> pieces() { return {}; }
};

}  // namespace tailor::train
