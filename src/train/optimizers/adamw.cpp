// AdamW: each weight moves by its mean gradient over the root of its mean square.
//
//     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
//     w = w - rate (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) + decay w)
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2. Both moments are f32; each number is read once and
// all but the gradient written once, which memory bounds, so it is a plain loop over all threads.
#include <cmath>

#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

// 0.95 forgets within 20 steps, as language models like it.
static constexpr double first_decay = 0.9, second_decay = 0.95;
static constexpr float epsilon = 1e-8f;

static std::vector<StatePart> adamw_state(const Parameter& parameter) { return {{"mean", 4 * parameter.numbers()}, {"square", 4 * parameter.numbers()}}; }

static void adamw_update(const Update& u) {
    constexpr auto b1 = static_cast<float>(first_decay), b2 = static_cast<float>(second_decay);
    const auto scale = static_cast<float>(u.gradient_scale), kept = static_cast<float>(1 - u.rate * u.weight_decay);
    const double first = 1 - std::pow(first_decay, static_cast<double>(u.step)), second = 1 - std::pow(second_decay, static_cast<double>(u.step));
    const auto pace = static_cast<float>(u.rate / first), root = static_cast<float>(1 / std::sqrt(second));
    float *const m = u.state.part<float>(0), *const v = u.state.part<float>(1);
    for_chunks(u.pool, u.parameter.numbers(), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const float g = u.gradient[i] * scale;
            m[i] = b1 * m[i] + (1 - b1) * g;
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            u.weights[i] = u.weights[i] * kept - pace * m[i] / (std::sqrt(v[i]) * root + epsilon);
        }
    });
}

namespace entries {
extern const Optimizer adamw = {
    .name = "adamw",
    .doc = "mean over root mean square of each weight's gradients; 8 bytes per weight",
    .rate = 2e-3,
    .weight_decay = 0.1,
    .by_number = true,
    .state = &adamw_state,
    .update = &adamw_update,
};
}  // namespace entries
}  // namespace tailor::train::optimizers
