// First values of weights, by what they are for.
//
// Most matrices: normal numbers of deviation 0.02; those whose product is added to the residual stream less, by the root of twice the
// layers, so that its size does not grow with depth (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019,
// section 2.3). Norms 1, biases 0. What a paper begins elsewhere, because training would not find there, is a line in the table of
// initial.cpp: decays and steps of state spaces, gates that must begin open, activations that begin as a known function.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/tensor.h"

namespace tailor::train {

/// Fills `weight`, f32, of a model with so many layers. The same numbers for the same name, shape and seed, whatever was there before.
/// A vector that no line of the table knows stays as it is.
void initialize_weight(std::string_view name, const core::Tensor& weight, std::int64_t layers, std::uint64_t seed);

}  // namespace tailor::train
