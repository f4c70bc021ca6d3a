// All strategies of this build, found by name.
#pragma once
#include <span>
#include <string_view>

#include "search/strategy.h"

namespace tailor::search {

/// Every registered strategy, sorted by name.
std::span<const Strategy* const> all();
/// nullptr when there is none.
const Strategy* find(std::string_view name);
/// Throws Error(usage) listing the strategies.
const Strategy& get(std::string_view name);

}  // namespace tailor::search
