// Seed-Coder: as Qwen 2, but punctuation leaves line ends alone.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"seed-coder"};
static constexpr std::string_view expressions[] = {
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)re"
        R"re( ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer seed_coder = {
    .names = names,
    .doc = "the words of Qwen 2 with line ends apart from punctuation",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
