// AdamW: the optimizer, for one tensor of weights in f32.
//
//     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
//     w = w - rate (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) + decay w)
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2. Weights, gradients and both moments are f32; each is
// read once and all but the gradient written once, which memory bounds, so it is a plain loop over all threads.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/pool.h"
#include "core/tensor.h"

namespace tailor::train {

struct AdamWOptions {
    double first_decay = 0.9, second_decay = 0.95;  ///< b1 and b2: of mean and square; 0.95 forgets within 20 steps, as language models like it
    double epsilon = 1e-8;
    double weight_decay = 0.1;
};

/// Moments of one tensor.
class AdamW {
  public:
    explicit AdamW(std::int64_t numbers) : mean_(static_cast<std::size_t>(numbers)), square_(static_cast<std::size_t>(numbers)) {}

    /// Moves `weights` against `gradient` times `gradient_scale` (clipping). `step` counts from 1. Both have as many numbers as this was made for.
    void update(float* weights, const float* gradient, double gradient_scale, double rate, std::int64_t step, const AdamWOptions& options, core::Pool& pool);

  private:
    std::vector<float> mean_, square_;
};

/// The root of the sum of squares of all gradients; the same bits for any number of threads.
double global_norm(std::span<const core::Tensor> gradients, core::Pool& pool);

/// Rises in a line to `peak` over `warmup` steps and falls to a tenth of it along half a cosine until step `steps` (Loshchilov and Hutter, "SGDR", 2017).
/// `step` counts from 1.
double cosine_rate(double peak, std::int64_t step, std::int64_t warmup, std::int64_t steps);

}  // namespace tailor::train
