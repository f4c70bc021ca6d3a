// Gemma 4: SentencePiece-like. Spaces become U+2581 and words are whole lines, so that merges may span spaces.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"gemma4", "granite-embed-multi-311m"};
static constexpr std::string_view expressions[] = {
    R"re([^\n]+|\n+)re",
};

extern const PreTokenizer gemma4 = {
    .names = names,
    .doc = "lines, in characters with U+2581 for a space",
    .expressions = expressions,
    .byte_level = false,
};

}  // namespace tailor::text::pre_tokenizers::entries
