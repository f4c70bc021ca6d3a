// All eviction policies of this build.
#pragma once
#include <string>

#include "run/evictions/policy.h"

namespace tailor::run::evictions {

std::span<const EvictionPolicy* const> all();
/// Throws Error(usage) listing the policies for an unknown name.
const EvictionPolicy& get(std::string_view name);
/// "heavy-hitters, window".
std::string names();

}  // namespace tailor::run::evictions
