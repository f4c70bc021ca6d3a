// Granite's multilingual embedding model: the words of GPT-4o; a word that is a token as a whole is taken as it is.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"granite-embed-multi-97m"};
static constexpr std::string_view expressions[] = {
    o200k_words,
};

extern const PreTokenizer granite_embed = {
    .names = names,
    .doc = "the words of GPT-4o",
    .expressions = expressions,
    .whole_words_first = true,
};

}  // namespace tailor::text::pre_tokenizers::entries
