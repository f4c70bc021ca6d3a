// Training without gradients: the slope of the loss along a random direction, from two passes forth.
//
//     z_i = +1 or -1,   g = (L(w + epsilon z) - L(w - epsilon z)) / (2 epsilon),   w = w - rate g z
// Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", 2023, algorithm 1 (MeZO); the signs are those of Spall, "Multivariate
// stochastic approximation", 1992, section III, where MeZO draws normal numbers: in so many dimensions both point the same ways, and a
// sign costs a bit. z is never stored: a hash of the seed, the step, the tensor and the place makes it anew each time it is wanted,
// so the weights are moved in place, there and back, and nothing is held but them and what one pass forth needs.
//
// Weights in f16 and bf16 stay in it. A change smaller than the distance of two such numbers is rounded up or down at random, the
// likelier the nearer, so that many small ones add up to what they should; the price is a noise of about half that distance per move.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "files/file.h"
#include "models/model.h"
#include "train/batch_plan.h"
#include "train/learner.h"
#include "train/objective.h"

namespace tailor::train {

struct ZerothOrderOptions {
    std::int64_t batch = 16;      ///< sequences at a time
    std::int64_t context = 256;   ///< tokens of each
    std::int64_t accumulate = 1;  ///< batches of a step
    double epsilon = 1e-3;        ///< how far the weights are moved to either side
    std::uint64_t seed = 1;       ///< of the directions
    bool pack = false;            ///< put weights that stay as they are in panels
    std::shared_ptr<Objective> objective;  ///< none: the next token, with every weight in f32, f16 or bf16
    cpu::Isa isa = cpu::active_isa();
};

class ZerothOrder : public Learner {
  public:
    /// Copies the weights of `file` that are trained, in their own formats; it must outlive this. Throws Error(unsupported) if there are none.
    ZerothOrder(const files::File& file, core::Pool& pool, ZerothOrderOptions options);

    /// Throws Error(usage) for an id that the model does not have, Error(numeric) if a loss is not finite; the weights are then as before, to
    /// rounding.
    Step step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) override;
    double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) override;
    std::int64_t steps() const override { return steps_; }
    /// Throws Error(usage) for a checkpoint of another model, seed or epsilon.
    void restore(const Checkpoint& checkpoint) override;
    std::uint64_t save(const std::string& path, const core::Json& settings) override;
    std::int64_t parameters() const override;
    std::int64_t arena_bytes() const override { return plan_->arena_bytes(); }
    /// The trained weight or adapter of this name as it is now; an empty tensor if there is none.
    core::Tensor weight(std::string_view name) const;
    /// The same formats as the file read.
    std::uint64_t write(const std::string& path) const override;

  private:
    /// A tensor that is moved, and its part of the hash.
    struct Moved {
        std::string name;
        core::Tensor tensor;
        std::uint64_t key;
    };
    void build();
    double batch_loss(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets);
    double step_loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets);
    void move(double distance, int which);
    std::vector<Piece> pieces();

    const files::File& file_;
    core::Pool& pool_;
    ZerothOrderOptions options_;
    models::Weights weights_;
    std::vector<Moved> moved_;
    std::unique_ptr<BatchPlan> plan_;
    std::int64_t steps_ = 0, vocabulary_ = 0;
};

}  // namespace tailor::train
