// Kimi K2: the words of GPT-4o, except that Chinese characters make words of their own.
// The original writes the letters of words as [\p{Lu}...&&[^\p{Han}]]; here they are the complement of everything else.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"kimi-k2"};
static constexpr std::string_view expressions[] = {
    R"re(\p{sc:Han}+|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]*)re"
        R"re([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]+)re"
        R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
        R"re([^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]+)re"
        R"re([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]*)re"
        R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)re"
        R"re(\s+(?!\S)|\s+)re",
};

extern const PreTokenizer kimi_k2 = {
    .names = names,
    .doc = "runs of Han characters, then the words of GPT-4o",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
