// Jais 2: the words of Llama 3; runs of white space are cut into powers of two.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"jais-2"};
static constexpr std::string_view expressions[] = {
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)re"
        R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|)re"
        R"re(\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})re",
};

extern const PreTokenizer jais2 = {
    .names = names,
    .doc = "the words of Llama 3 with white space in powers of two",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
