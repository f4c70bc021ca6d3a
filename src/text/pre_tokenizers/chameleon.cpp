// Chameleon: image tokens, white space, digits and punctuation are cut out one after the other; then the words of GPT-2.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"chameleon"};
static constexpr std::string_view expressions[] = {
    R"re(<sentinel:[0-9]+>)re",
    R"re(IMGIMG[A-I]{1,4}Z)re",
    R"re([\t\n]|    |  )re",
    R"re(\p{N})re",
    R"re([\p{P}!-/:-@\[-`{-~])re",
    gpt2_words,
};

extern const PreTokenizer chameleon = {
    .names = names,
    .doc = "image tokens, white space, digits, punctuation, then the words of GPT-2",
    .expressions = expressions,
    .adds_bos = true,
};

}  // namespace tailor::text::pre_tokenizers::entries
