// SuperBPE: only numbers are cut, in threes from their right end; merges may span words.
// Liu et al., "SuperBPE: Space travel for language models", 2025.
// Only the first group of a number looks ahead to its end; the others follow it (\G), so that long numbers take linear time.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"superbpe"};
static constexpr std::string_view expressions[] = {
    R"re(\p{N}+)re",
    R"re(\G(?<=\d)\d{3}|(?<!\d)\d{1,3}(?=(?:\d{3})*+(?!\d)))re",
};

extern const PreTokenizer superbpe = {
    .names = names,
    .doc = "numbers in threes from the right, nothing else",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
