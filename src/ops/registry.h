// All operators of this build.
#pragma once
#include "ops/op.h"

namespace tailor::ops {

/// Every registered operator, sorted by name.
std::span<const Op* const> all();
/// Throws Error(bug): names come from family files, not from users.
const Op& get(std::string_view name);

}  // namespace tailor::ops
