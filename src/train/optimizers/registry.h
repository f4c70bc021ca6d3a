// All optimizers of this build.
#pragma once
#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

std::span<const Optimizer* const> all();
/// Throws Error(usage) listing the optimizers for an unknown name.
const Optimizer& get(std::string_view name);
/// "adafactor, adamw, ...".
std::string names();

}  // namespace tailor::train::optimizers
