// Gradient descent with momentum.
//
//     m = 0.9 m + g,   w = w - rate (m + decay w)
// Polyak, "Some methods of speeding up the convergence of iteration methods", 1964, the heavy ball; decay apart from the gradient as in
// AdamW. All weights share one rate, which language models take badly: layers' gradients differ by orders of magnitude.
#include "train/optimizers/momentum.h"

namespace tailor::train::optimizers::entries {
extern const Optimizer sgd = {
    .name = "sgd",
    .doc = "gradient descent with momentum 0.9; 4 bytes per weight",
    .rate = 0.1,
    .weight_decay = 0,
    .by_number = true,
    .state = &momentum_state,
    .update = &momentum_update<false>,
};
}  // namespace tailor::train::optimizers::entries
