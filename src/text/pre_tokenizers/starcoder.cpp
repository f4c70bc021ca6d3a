// StarCoder and relatives: every digit for itself, then the words of GPT-2.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {
    "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2",
};
static constexpr std::string_view expressions[] = {
    R"re(\p{N})re",
    gpt2_words,
};

extern const PreTokenizer starcoder = {
    .names = names,
    .doc = "single digits, then the words of GPT-2",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
