// Training a model of any family: its graph with a loss, the gradient pass, and an optimizer over weights in f32.
//
// The family builds the same graph as for running, for all rows of a batch of whole sequences; graph::add_gradients adds the way back; one
// plan holds both, and every step runs it and moves the weights where they lie. Weights of a format of blocks (q4_k and
// the like) stay frozen: they have no gradient. The states of attention and recurrences are those of a session, begun anew every step.
// A step may be made of several batches whose gradients are added up: large steps in the memory of small ones.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "files/file.h"
#include "graph/plan.h"
#include "models/registry.h"
#include "train/checkpoint.h"
#include "train/objective.h"
#include "train/optimizers/registry.h"

namespace tailor::train {

struct TrainerOptions {
    std::int64_t batch = 16;      ///< sequences at a time
    std::int64_t context = 256;   ///< tokens of each
    std::int64_t accumulate = 1;  ///< batches of a step
    double clip = 1;              ///< gradients together are scaled down to this norm (Pascanu et al., 2013); 0: never
    double weight_decay = 0.1;    ///< of matrices; norms and biases are not pulled towards zero
    std::string optimizer = "adamw";
    std::shared_ptr<Objective> objective;  ///< none: the next token, with every weight that can be trained
    cpu::Isa isa = cpu::active_isa();
};

/// What one step did.
struct Step {
    double loss = 0;           ///< mean over all tokens, in nats, before the step
    double gradient_norm = 0;  ///< before clipping
};

class Trainer {
  public:
    /// Copies the weights of `file`, which must outlive this. Throws Error(unsupported) naming the operator if the family cannot be trained.
    Trainer(const files::File& file, core::Pool& pool, TrainerOptions options);

    /// Matrices become normal numbers of deviation 0.02 (what writes to the residual stream less, by the root of twice the layers: GPT-2), norms 1 and biases
    /// 0; other vectors keep what the file gave them. The same numbers for the same seed, whatever was there before.
    void initialize(std::uint64_t seed);

    /// One step on `accumulate` times `batch` sequences of `context` tokens, one after the other, and the token after each (below 0: not
    /// counted). Throws Error(usage) for an id that the model does not have, Error(numeric) naming the step and a tensor if the loss or a
    /// gradient is not finite; the weights are then as before.
    Step step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate);
    /// The loss of one batch alone.
    double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets);

    /// Steps made, also those before a checkpoint.
    std::int64_t steps() const { return steps_; }
    /// Weights, what the optimizer remembers, and the number of steps, beside `settings`, which are the caller's. Returns the size in bytes.
    /// Throws Error(numeric) naming the tensor, and writes nothing, if a weight is not finite.
    std::uint64_t save(const std::string& path, const core::Json& settings);
    /// Goes on where save() was called, to the bit. Throws Error(usage) if the checkpoint is of another model or optimizer.
    void restore(const Checkpoint& checkpoint);
    /// The caller's part of what save() wrote.
    static const core::Json& settings(const Checkpoint& checkpoint) { return checkpoint.about().at("settings"); }

    /// The trained weight or adapter of this name; an empty tensor if there is none.
    core::Tensor weight(std::string_view name) const;
    /// Numbers that are trained.
    std::int64_t parameters() const;
    /// Bytes of activations and gradients while a step runs.
    std::int64_t arena_bytes() const { return plan_->arena_bytes(); }
    const graph::Plan& plan() const { return *plan_; }

    /// Writes the model with its weights as they are now, in f32 where they were trained. Returns the size in bytes.
    std::uint64_t write(const std::string& path) const;

  private:
    void build();
    void run(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets, std::int64_t counted);
    double summed_loss() const;
    std::vector<core::Tensor> gradients(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double& loss);
    void check_finite(const Step& result, const std::vector<core::Tensor>& gradients) const;
    std::string infinite_weight() const;
    std::vector<Piece> pieces();
    std::uint64_t frozen_hash() const;

    const files::File& file_;
    core::Pool& pool_;
    TrainerOptions options_;
    models::Weights weights_;
    std::unique_ptr<graph::Plan> plan_;
    std::vector<core::Tensor> trained_;  ///< the weights; output i + 1 of the plan is the gradient of trained_[i]
    std::vector<core::Tensor> sums_;     ///< of gradients over the batches of a step; none where a step is one batch
    std::vector<optimizers::Parameter> parameters_;
    std::vector<optimizers::State> remembered_;
    const optimizers::Optimizer* optimizer_ = nullptr;
    std::vector<core::Tensor> states_;
    core::Tensor arena_, seed_;
    std::vector<std::int32_t> positions_, sequences_, wanted_;
    mutable std::optional<std::uint64_t> frozen_hash_;
    std::int64_t steps_ = 0, vocabulary_ = 0;
};

}  // namespace tailor::train
