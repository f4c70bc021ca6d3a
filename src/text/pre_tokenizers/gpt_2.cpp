// GPT-2 and the many that kept its words: letters, numbers and the rest, each with the space before it.
// Radford et al., "Language models are unsupervised multitask learners", 2019.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {
    "gpt-2", "phi-2", "olmo", "mpt", "jais", "exaone4", "trillion", "granite-docling", "gigachat", "a.x-4.0", "mellum",
    "modern-bert", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code",
};
static constexpr std::string_view expressions[] = {
    gpt2_words,
};

extern const PreTokenizer gpt_2 = {
    .names = names,
    .doc = "words of letters, numbers or neither, with the space before them",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
