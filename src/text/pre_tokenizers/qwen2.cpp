// Qwen 2 and relatives: as Llama 3, but every digit for itself.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {
    "qwen2", "stablelm2", "hunyuan", "solar-open", "megrez", "deepseek-r1-qwen", "kormo", "f2llmv2", "grok-2",
};
static constexpr std::string_view expressions[] = {
    qwen2_words,
};

extern const PreTokenizer qwen2 = {
    .names = names,
    .doc = "the words of Llama 3 with single digits",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
