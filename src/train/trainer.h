// Training a model of any family: its graph with a loss, the gradient pass, and AdamW over weights in f32.
//
// The family builds the same graph as for running, for all rows of a batch of whole sequences; graph::add_gradients adds the way back; one
// plan holds both, and every step runs it and moves the weights where they lie. Weights of a format of blocks (q4_k and
// the like) stay frozen: they have no gradient. The states of attention and recurrences are those of a session, begun anew every step.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "files/file.h"
#include "graph/plan.h"
#include "models/registry.h"
#include "train/adamw.h"

namespace tailor::train {

struct TrainerOptions {
    std::int64_t batch = 16;     ///< sequences per step
    std::int64_t context = 256;  ///< tokens of each
    double clip = 1;             ///< gradients together are scaled down to this norm (Pascanu et al., 2013); 0: never
    AdamWOptions adamw;
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

    /// One step on `batch` sequences of `context` tokens, one after the other, and the token after each (below 0: not counted).
    /// Throws Error(usage) for an id that the model does not have, Error(numeric) if the loss is not finite; the weights are then as before.
    Step step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate);
    /// The loss alone.
    double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets);

    /// Numbers that are trained.
    std::int64_t parameters() const;
    /// Bytes of activations and gradients while a step runs.
    std::int64_t arena_bytes() const { return plan_->arena_bytes(); }
    const graph::Plan& plan() const { return *plan_; }

    /// Writes the model with its weights as they are now, in f32 where they were trained. Returns the size in bytes.
    std::uint64_t write(const std::string& path) const;

  private:
    void build();
    void run(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets);
    double mean_loss(const std::vector<std::int32_t>& targets) const;

    const files::File& file_;
    core::Pool& pool_;
    TrainerOptions options_;
    models::Weights weights_;
    std::unique_ptr<graph::Plan> plan_;
    std::vector<core::Tensor> trained_;  ///< the weights; output i + 1 of the plan is the gradient of trained_[i]
    std::vector<AdamW> moments_;
    std::vector<core::Tensor> states_;
    core::Tensor arena_, seed_;
    std::vector<std::int32_t> positions_, sequences_, wanted_;
    std::int64_t steps_ = 0, vocabulary_ = 0;
};

}  // namespace tailor::train
