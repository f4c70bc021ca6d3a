// Lion: every weight moves by the same amount, in the direction of a mean of its gradients.
//
//     w = w - rate (sign(b1 m + (1 - b1) g) + decay w),   m = b2 m + (1 - b2) g
// Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2 with b1 = 0.9, b2 = 0.99. A sign is larger than AdamW's
// quotient, so rates are a tenth of AdamW's and decays ten times as large (section 5 there).
#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

static constexpr float direction_decay = 0.9f, momentum_decay = 0.99f;

static std::vector<StatePart> lion_state(const Parameter& parameter) { return {{"momentum", 4 * parameter.numbers()}}; }

static void lion_update(const Update& u) {
    const auto scale = static_cast<float>(u.gradient_scale), rate = static_cast<float>(u.rate), kept = static_cast<float>(1 - u.rate * u.weight_decay);
    float* const m = u.state.part<float>(0);
    for_chunks(u.pool, u.parameter.numbers(), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const float g = u.gradient[i] * scale, direction = direction_decay * m[i] + (1 - direction_decay) * g;
            u.weights[i] = u.weights[i] * kept - rate * static_cast<float>((direction > 0) - (direction < 0));
            m[i] = momentum_decay * m[i] + (1 - momentum_decay) * g;
        }
    });
}

namespace entries {
extern const Optimizer lion = {
    .name = "lion",
    .doc = "the sign of a mean gradient; 4 bytes per weight",
    .rate = 2e-4,
    .weight_decay = 1,
    .by_number = true,
    .state = &lion_state,
    .update = &lion_update,
};
}  // namespace entries
}  // namespace tailor::train::optimizers
