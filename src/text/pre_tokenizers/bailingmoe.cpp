// Bailing (Ling) and LLaDA-MoE: as Qwen 2, with line ends one by one.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"bailingmoe", "bailingmoe2", "llada-moe"};
static constexpr std::string_view expressions[] = {
    R"re('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|)re"
        R"re(\s*[\r\n]|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer bailingmoe = {
    .names = names,
    .doc = "the words of Qwen 2 with single line ends",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
