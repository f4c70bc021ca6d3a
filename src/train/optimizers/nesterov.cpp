// Gradient descent with Nesterov's momentum: the step that the momentum is about to make is made before the gradient counts.
//
//     m = 0.9 m + g,   w = w - rate (g + 0.9 m + decay w)
// Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983, in the form of Sutskever et al.,
// "On the importance of initialization and momentum in deep learning", 2013, equations 3 and 4, with the place looked at as the weights.
#include "train/optimizers/momentum.h"

namespace tailor::train::optimizers::entries {
extern const Optimizer nesterov = {
    .name = "nesterov",
    .doc = "gradient descent with Nesterov's momentum 0.9; 4 bytes per weight",
    .rate = 0.1,
    .weight_decay = 0,
    .by_number = true,
    .state = &momentum_state,
    .update = &momentum_update<true>,
};
}  // namespace tailor::train::optimizers::entries
