// What a training loop asks of whoever makes the steps: by gradients (trainer.h) or without them (zeroth_order.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "train/checkpoint.h"

namespace tailor::train {

/// What one step did.
struct Step {
    double loss = 0;           ///< mean over all tokens, in nats, before the step
    double gradient_norm = 0;  ///< before clipping; without gradients the size of the slope along the direction that was tried
};

class Learner {
  public:
    virtual ~Learner() = default;
    /// One step on all sequences of a step, one after the other, and the token after each (below 0: not counted).
    virtual Step step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) = 0;
    /// The loss of one batch alone.
    virtual double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) = 0;
    /// Steps made, also those before a checkpoint.
    virtual std::int64_t steps() const = 0;
    /// Everything that the next step depends on, beside `settings`, which are the caller's. Returns the size in bytes.
    virtual std::uint64_t save(const std::string& path, const core::Json& settings) = 0;
    /// Goes on where save() was called, to the bit.
    virtual void restore(const Checkpoint& checkpoint) = 0;
    /// Numbers that are trained.
    virtual std::int64_t parameters() const = 0;
    /// Bytes of intermediate values while a step runs.
    virtual std::int64_t arena_bytes() const = 0;
    /// Writes the model with its weights as they are now; those beside which an adapter is trained as they were. Returns the size in bytes.
    virtual std::uint64_t write(const std::string& path) const = 0;
};

}  // namespace tailor::train
