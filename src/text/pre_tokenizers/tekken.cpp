// Mistral's Tekken: the words of GPT-4o without contractions and with single digits.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"tekken"};
static constexpr std::string_view expressions[] = {
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)re"
        R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)re"
        R"re( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer tekken = {
    .names = names,
    .doc = "words that break where case rises, single digits",
    .expressions = expressions,
    .whole_words_first = true,
    .adds_bos = true,
};

}  // namespace tailor::text::pre_tokenizers::entries
