// Ufakzeka: as Qwen 2 without English contractions, so that Turkish suffixes stay with their apostrophe.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"ufakzeka"};
static constexpr std::string_view expressions[] = {
    R"re([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer ufakzeka = {
    .names = names,
    .doc = "the words of Qwen 2 without contractions",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
