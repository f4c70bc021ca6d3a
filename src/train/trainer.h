// Training a model of any family: its graph with a loss, the gradient pass, and an optimizer over weights in f32.
//
// The family builds the same graph as for running, for all rows of a batch of whole sequences; graph::add_gradients adds the way back; one
// plan holds both, and every step runs it and moves the weights where they lie. Weights of a format of blocks (q4_k and
// the like) stay frozen: they have no gradient. The states of attention and recurrences are those of a session, begun anew every step.
// A step may be made of several batches whose gradients are added up: large steps in the memory of small ones. Several processes may share
// each batch (workers.h): all of them make the same calls with the same arguments, and get the same answers.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "files/file.h"
#include "graph/plan.h"
#include "graph/saving.h"
#include "models/registry.h"
#include "train/learner.h"
#include "train/objective.h"
#include "train/optimizers/registry.h"
#include "train/shards.h"

namespace tailor::train {

struct TrainerOptions {
    std::int64_t batch = 16;      ///< sequences at a time
    std::int64_t context = 256;   ///< tokens of each
    std::int64_t accumulate = 1;  ///< batches of a step
    double clip = 1;              ///< gradients together are scaled down to this norm (Pascanu et al., 2013); 0: never
    double weight_decay = 0.1;    ///< of matrices; norms and biases are not pulled towards zero
    std::string optimizer = "adamw";
    bool bf16 = false;            ///< products round their factors to bf16 where the processor multiplies those (ops/pair_product.h); all else stays f32
    bool pack = false;            ///< put weights that stay as they are in panels (frozen.h); write() then writes them as the file has them
    graph::SavingOptions saving;  ///< how values of the way forth come to the way back
    bool optimizer_on_disk = false;  ///< what the optimizer remembers lies in files in saving.folder
    std::shared_ptr<Objective> objective;  ///< none: the next token, with every weight that can be trained
    std::shared_ptr<Workers> workers;      ///< processes that share every step's sequences, `batch` of all of them together; none: this one alone
    cpu::Isa isa = cpu::active_isa();
};

class Trainer : public Learner {
  public:
    /// Copies the weights of `file`, which must outlive this. Throws Error(unsupported) naming the operator if the family cannot be trained.
    Trainer(const files::File& file, core::Pool& pool, TrainerOptions options);

    /// First values as train/initial.h has them, by name; vectors that it does not know keep what the file gave them. The same numbers for
    /// the same seed, whatever was there before.
    void initialize(std::uint64_t seed);

    /// One step on `accumulate` times `batch` sequences of `context` tokens, one after the other, and the token after each (below 0: not
    /// counted). Throws Error(usage) for an id that the model does not have, Error(numeric) naming the step and a tensor if the loss or a
    /// gradient is not finite; the weights are then as before.
    Step step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) override;
    /// The loss of one batch alone.
    double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) override;

    /// The gradients of the mean loss of a step's sequences, which is put into `loss`, in the order of trained(); of several processes each
    /// gets its share (shards.h). Valid until the next call of any of these.
    std::vector<core::Tensor> gradients(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double& loss);
    /// The weights that are trained, f32, where they lie: what is written there counts from the next call on.
    const std::vector<core::Tensor>& trained() const { return trained_; }
    const std::string& name(std::size_t trained) const { return parameters_[trained].name; }
    std::int64_t sequences_of_step() const { return options_.batch * options_.accumulate * options_.workers->count(); }
    std::int64_t context() const { return options_.context; }
    core::Pool& pool() { return pool_; }

    /// Steps made, also those before a checkpoint.
    std::int64_t steps() const override { return steps_; }
    /// Weights, what the optimizer remembers, and the number of steps, beside `settings`, which are the caller's. Returns the size in bytes.
    /// Throws Error(numeric) naming the tensor, and writes nothing, if a weight is not finite.
    /// The first of several processes writes it.
    std::uint64_t save(const std::string& path, const core::Json& settings) override;
    /// Goes on where save() was called, to the bit. Throws Error(usage) if the checkpoint is of another model or optimizer.
    void restore(const Checkpoint& checkpoint) override;
    /// The caller's part of what save() wrote.
    static const core::Json& settings(const Checkpoint& checkpoint) { return checkpoint.about().at("settings"); }

    /// The trained weight or adapter of this name; an empty tensor if there is none.
    core::Tensor weight(std::string_view name) const;
    /// The file's weight of this name as it is now; in f32 if it is trained.
    core::Tensor held(std::string_view name) const { return weights_.find(name); }
    /// Numbers that are trained.
    std::int64_t parameters() const override;
    /// Bytes of activations and gradients while a step runs.
    std::int64_t arena_bytes() const override { return plan_->arena_bytes(); }
    const graph::Plan& plan() const { return *plan_; }
    /// What became of the values that the way back reads.
    const std::string& saving_summary() const { return saving_summary_; }

    /// Writes the model with its weights as they are now, in f32 where they were trained. Returns the size in bytes. Of several processes
    /// the first writes; the others get 0.
    std::uint64_t write(const std::string& path) const override;

  private:
    void build();
    void make_states();
    void prepare_forward();
    void run(graph::Plan& plan, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets, std::int64_t counted);
    double summed_loss(const graph::Plan& plan) const;
    std::span<const std::int32_t> own_rows(const std::vector<std::int32_t>& tokens, std::size_t b, std::size_t batches) const;
    void agree();
    void check_finite(const Step& result, const std::vector<core::Tensor>& gradients) const;
    std::string infinite_weight() const;
    std::vector<Piece> pieces();
    std::uint64_t frozen_hash() const;

    const files::File& file_;
    core::Pool& pool_;
    TrainerOptions options_;
    models::Weights weights_;
    std::unique_ptr<graph::Plan> plan_;
    graph::Graph way_forth_;                ///< of a step, with the losses as its output
    std::unique_ptr<graph::Plan> forward_;  ///< runs it in the memory of plan_; made when a loss alone is asked for
    std::shared_ptr<graph::SpillFile> spill_file_;
    std::string saving_summary_;
    std::vector<core::Tensor> trained_;  ///< the weights; output i + 1 of the plan is the gradient of trained_[i]
    std::vector<core::Tensor> sums_;     ///< of the own shares' gradients over the batches of a step; none where a step is one batch
    std::vector<optimizers::Parameter> parameters_;
    std::unique_ptr<Shares> shares_;  ///< who moves what; own() is this process's part
    const optimizers::Optimizer* optimizer_ = nullptr;
    std::vector<core::Tensor> states_;
    core::Tensor arena_, seed_;
    std::vector<std::int32_t> positions_, sequences_, wanted_;
    mutable std::optional<std::uint64_t> frozen_hash_;
    std::int64_t steps_ = 0, vocabulary_ = 0;
    bool agreed_ = false;  ///< all processes have the weights of the first
};

}  // namespace tailor::train
