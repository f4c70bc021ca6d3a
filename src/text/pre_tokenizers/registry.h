// All pre-tokenizers of this build.
#pragma once
#include <span>

#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers {

/// Every registered pre-tokenizer, sorted by the name of its file; no name in `names` occurs twice.
std::span<const PreTokenizer* const> all();

}  // namespace tailor::text::pre_tokenizers
