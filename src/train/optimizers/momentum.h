// Gradient descent with momentum, in both of its forms: what sgd.cpp and nesterov.cpp have in common.
#pragma once
#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

/// Share of the momentum that stays from step to step.
inline constexpr double momentum_kept = 0.9;

inline std::vector<StatePart> momentum_state(const Parameter& parameter) { return {{"momentum", 4 * parameter.numbers()}}; }

/// m = k m + g; the weights move against m, or with `look_ahead` against g + k m.
template <bool look_ahead>
void momentum_update(const Update& u) {
    constexpr auto kept_momentum = static_cast<float>(momentum_kept);
    const auto scale = static_cast<float>(u.gradient_scale), rate = static_cast<float>(u.rate), kept = static_cast<float>(1 - u.rate * u.weight_decay);
    float* const m = u.state.part<float>(0);
    for_chunks(u.pool, u.parameter.numbers(), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const float g = u.gradient[i] * scale;
            m[i] = kept_momentum * m[i] + g;
            u.weights[i] = u.weights[i] * kept - rate * (look_ahead ? g + kept_momentum * m[i] : m[i]);
        }
    });
}

}  // namespace tailor::train::optimizers
