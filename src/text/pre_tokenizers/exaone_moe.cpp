// EXAONE MoE: several words may be one ("superwords"), single digits, line ends one by one.
// Its groups repeat possessively: nothing follows them, so giving back cannot help, and long lines need no backtracking.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"exaone-moe"};
static constexpr std::string_view expressions[] = {
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|)re"
        R"re([^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|)re"
        R"re(\s+(?!\S)|\s+)re",
};

extern const PreTokenizer exaone_moe = {
    .names = names,
    .doc = "words that may span spaces, single digits, single line ends",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
