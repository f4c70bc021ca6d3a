// What the loss looks like around the weights: gradients of single sequences, products with the Hessian, and what they say of each weight.
//
//     Fisher, empirical:   F_i = mean over sequences s of (dL_s / dw_i)^2
//     Hessian:             H v = d/dt grad L(w + t v) at t = 0,    trace H = E[v^T H v],  diag H = E[v * H v],  v of random signs
// Kunstner et al., "Limitations of the empirical Fisher approximation", 2019, section 2; Hutchinson, "A stochastic estimator of the trace of
// the influence matrix", 1989; Bekas et al., "An estimator for the diagonal of a matrix", 2007. Gradients of a sequence are those of
// a batch of one: with some hundred rows a sequence fills the processor by itself, and they need no more memory than a
// step. Operators of a gradient pass have no derivatives of their own, so H v is a difference of gradients along v, exact but for two
// errors that pull apart: with four gradients, (8 (g(h) - g(-h)) - (g(2h) - g(-2h))) / 12h, the steps' error falls with h^4, so that h can
// be large against what f32 rounds away. h is halved until the plain (g(h) - g(-h)) / 2h says the same to a thousandth, or until rounding makes
// both differ more again; their difference is told with the product.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "train/trainer.h"

namespace tailor::train {

/// Texts as a trainer takes them: whole sequences of its context, one after the other, and the token after each (below 0: not counted).
struct Sequences {
    const std::vector<std::int32_t>& ids;
    const std::vector<std::int32_t>& targets;
};

/// A trainer to ask for derivatives only: it remembers next to nothing. `batch` sequences at a time.
std::unique_ptr<Trainer> derivatives_of(const files::File& file, core::Pool& pool, std::int64_t batch, std::int64_t context, std::shared_ptr<Objective> objective = {});

/// Calls `visit` for each sequence with the mean loss of its targets and that loss's gradients, in the order of trainer.trained(), which are
/// valid during the call. The trainer's batch must be 1 (Error(usage)).
using VisitSample = std::function<void(std::size_t sequence, double loss, std::span<const core::Tensor> gradients)>;
void per_sample_gradients(Trainer& trainer, const Sequences& sequences, const VisitSample& visit);

/// F, one f32 tensor for each of trainer.trained(). The trainer's batch must be 1.
std::vector<core::Tensor> fisher_diagonal(Trainer& trainer, const Sequences& sequences);

struct HessianProduct {
    std::vector<core::Tensor> product;  ///< in the order of trainer.trained()
    double relative_error = 0;          ///< how far the plain difference is from this one, of the product's norm
};
/// H v of the mean loss of one step's sequences (batch x accumulate of them); `direction` as trainer.trained(), not all 0. The weights are as
/// before afterwards, to the bit. `step`: how far from the weights to begin, as a share of their norm. Takes four gradients or more.
HessianProduct hessian_product(Trainer& trainer, const Sequences& sequences, std::span<const core::Tensor> direction, double step = 2e-3);

/// Estimates by random signs.
struct HessianDiagonal {
    std::vector<core::Tensor> diagonal;       ///< the mean of v * H v; one draw's deviation is the norm of the row beside the diagonal
    std::vector<double> trace, trace_error;   ///< of each tensor's block; the error is the standard error over the draws, 0 for one
    double relative_error = 0;                ///< the largest of the products
};
/// With `draws` products; the same draws for the same seed.
HessianDiagonal hessian_diagonal(Trainer& trainer, const Sequences& sequences, int draws, std::uint64_t seed);

}  // namespace tailor::train
