// MiniCPM 5: numbers in threes, then the words of Llama 3.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"minicpm5"};
static constexpr std::string_view expressions[] = {
    R"re(\p{N}{1,3})re",
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+|)re"
        R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer minicpm5 = {
    .names = names,
    .doc = "numbers in threes, then the words of Llama 3",
    .expressions = expressions,
    .whole_words_first = true,
};

}  // namespace tailor::text::pre_tokenizers::entries
