// Qwen 3.5: as Qwen 2, with combining marks as parts of words.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"qwen35"};
static constexpr std::string_view expressions[] = {
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)re"
        R"re( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer qwen35 = {
    .names = names,
    .doc = "the words of Qwen 2 with combining marks",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
