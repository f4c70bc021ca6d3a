// All policies of this build.
#pragma once
#include <span>
#include <string>

#include "graph/policies/policy.h"

namespace tailor::graph::policies {

std::span<const Policy* const> all();
/// Throws Error(usage) listing the policies for an unknown name.
const Policy& get(std::string_view name);
/// "int4, int8, keep, ...".
std::string names();

}  // namespace tailor::graph::policies
