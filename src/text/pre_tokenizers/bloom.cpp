// BLOOM, Poro and GPT-3 Finnish: everything up to white space or a sentence mark is a word.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"bloom", "poro-chat", "gpt3-finnish"};
static constexpr std::string_view expressions[] = {
    R"re( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{0964}\x{06D4}\x{060C})]+)re",
};

extern const PreTokenizer bloom = {
    .names = names,
    .doc = "runs between white space and sentence marks",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
