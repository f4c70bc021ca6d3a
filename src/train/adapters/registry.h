// All kinds of adapters of this build.
#pragma once
#include <span>
#include <string>

#include "train/adapters/adapter_kind.h"

namespace tailor::train::adapters {

std::span<const AdapterKind* const> all();
/// nullptr when there is none.
const AdapterKind* find(std::string_view name);
/// Throws Error(usage) listing the kinds for an unknown name.
const AdapterKind& get(std::string_view name);
/// "lora, one-bit".
std::string names();

}  // namespace tailor::train::adapters
