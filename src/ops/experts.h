// What the operators of experts share: the limit on their number, and scores in double.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tailor::ops {

/// Routers keep the scores of one row on the stack; the largest published model has 512 experts.
inline constexpr std::int64_t most_experts = 1024;

inline double sigmoid(double x) noexcept { return 1 / (1 + std::exp(-x)); }

/// In place; an undefined value makes all of them undefined.
inline void softmax(double* values, std::int64_t count) noexcept {
    double largest = values[0], total = 0;
    for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, values[i]);
    for (std::int64_t i = 0; i < count; ++i) total += values[i] = std::exp(values[i] - largest);
    for (std::int64_t i = 0; i < count; ++i) values[i] /= total;
}

}  // namespace tailor::ops
