// All compression methods of this build.
#pragma once
#include "compress/method.h"

namespace tailor::compress {

std::span<const Method* const> all();
/// Throws Error(usage) listing the methods.
const Method& get(std::string_view name);

/// Sum of importance * (source - compressed)^2 over all values, and the same sum of source^2 alone.
struct WeightedError {
    double error = 0, energy = 0;
};
WeightedError weighted_error(const core::Tensor& source, const core::Tensor& compressed, std::span<const float> importance, core::Pool& pool);

}  // namespace tailor::compress
