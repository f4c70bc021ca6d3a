// Falcon: punctuation, then the words of GPT-2, then digits in threes.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"falcon"};
static constexpr std::string_view expressions[] = {
    R"re([\p{P}\$\+<=>\^~\|`]+)re",
    gpt2_words,
    R"re([0-9][0-9][0-9])re",
};

extern const PreTokenizer falcon = {
    .names = names,
    .doc = "punctuation, then the words of GPT-2, then digits in threes",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
