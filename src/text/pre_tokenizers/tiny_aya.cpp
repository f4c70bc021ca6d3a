// Tiny Aya and Cohere 2 MoE: numbers in threes counted from their right end, then the words of GPT-4o.
// Only the first group of a number looks ahead to its end; the others follow it (\G), so that long numbers take linear time.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"tiny_aya", "cohere2moe"};
static constexpr std::string_view expressions[] = {
    R"re(\G(?<=\d)\d{3}|(?<!\d)\d{1,3}(?=(?:\d{3})*+\b))re",
    o200k_words,
};

extern const PreTokenizer tiny_aya = {
    .names = names,
    .doc = "numbers in threes from the right, then the words of GPT-4o",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
