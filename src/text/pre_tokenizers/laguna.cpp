// Laguna: lines first, then the words of Qwen 2 within each line.
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"laguna"};
static constexpr std::string_view expressions[] = {
    R"re([^\n]+|\n+)re",
    qwen2_words,
};

extern const PreTokenizer laguna = {
    .names = names,
    .doc = "lines, then the words of Qwen 2",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
