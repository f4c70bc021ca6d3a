// All kinds of tokenizers of this build.
#pragma once
#include <span>

#include "text/tokenizer.h"

namespace tailor::text::tokenizers {

/// Every registered kind, sorted by name.
std::span<const TokenizerKind* const> all();

}  // namespace tailor::text::tokenizers
