// Llama 3 and relatives. A word that is a token as a whole is taken as it is: their merges do not reach all tokens.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {
    "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano",
};
static constexpr std::string_view expressions[] = {
    llama3_words,
};

extern const PreTokenizer llama_bpe = {
    .names = names,
    .doc = "words with one leading character, numbers in threes, contractions in either case",
    .expressions = expressions,
    .whole_words_first = true,
    .adds_bos = true,
};

}  // namespace tailor::text::pre_tokenizers::entries
