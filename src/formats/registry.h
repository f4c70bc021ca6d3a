// All number formats of this build, found by name or by their id in GGUF.
#pragma once
#include <span>

#include "formats/format.h"

namespace tailor::formats {

/// Every registered format, sorted by name.
std::span<const Format* const> all();
/// nullptr when there is none.
const Format* find(std::string_view name);
const Format* find_gguf_type(std::int64_t type);
/// Throws Error(usage) listing the formats.
const Format& get(std::string_view name);

}  // namespace tailor::formats
