// Viking: as BLOOM, with single digits.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"viking"};
static constexpr std::string_view expressions[] = {
    R"re( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{0964}\x{06D4}\x{060C})]+)re",
    R"re(\p{N})re",
};

extern const PreTokenizer viking = {
    .names = names,
    .doc = "runs between white space and sentence marks, single digits",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
