// The sixteen numbers that iq4_nl and iq4_xs codes stand for: spaced about as the quantiles of a bell curve, denser near zero.
// No entry is zero; a zero value takes the entry 1.
#pragma once
#include <cstdint>

namespace tailor::formats {

inline constexpr std::int8_t nonlinear_grid[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace tailor::formats
