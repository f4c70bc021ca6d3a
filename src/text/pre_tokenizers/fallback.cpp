// What "default" means to converters that knew nothing better: close to Falcon. Kept because files with it exist.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"default"};
static constexpr std::string_view expressions[] = {
    R"re([\p{P}\$\+<=>\^~\|]+)re",
    gpt2_words,
    R"re(\p{N}+)re",
    R"re([0-9][0-9][0-9])re",
};

extern const PreTokenizer fallback = {
    .names = names,
    .doc = "punctuation, then the words of GPT-2, then numbers, then digits in threes",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
