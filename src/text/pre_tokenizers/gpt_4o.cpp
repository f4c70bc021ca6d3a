// GPT-4o (o200k), also used by gpt-oss, Llama 4 and MiniMax-M2.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"};
static constexpr std::string_view expressions[] = {
    o200k_words,
};

extern const PreTokenizer gpt_4o = {
    .names = names,
    .doc = "words that break where case rises, with marks and contractions; numbers in threes",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
