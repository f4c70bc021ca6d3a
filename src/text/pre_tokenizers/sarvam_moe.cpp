// Sarvam MoE: SentencePiece-like, as Gemma 4.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"sarvam-moe"};
static constexpr std::string_view expressions[] = {
    R"re([^\n]+|\n+)re",
};

extern const PreTokenizer sarvam_moe = {
    .names = names,
    .doc = "lines, in characters with U+2581 for a space",
    .expressions = expressions,
    .byte_level = false,
};

}  // namespace tailor::text::pre_tokenizers::entries
