// DBRX, Smaug and GLM-4: the words of Llama 3, merged strictly by the merges.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"};
static constexpr std::string_view expressions[] = {
    llama3_words,
};

extern const PreTokenizer dbrx = {
    .names = names,
    .doc = "the words of Llama 3",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
