// AFMoE (Trinity): numbers in threes from their right end, scripts without spaces, then the words of DeepSeek V3.
// Only the first group of a number looks ahead to its end; the others follow it (\G), so that long numbers take linear time.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"afmoe"};
static constexpr std::string_view expressions[] = {
    R"re(\G(?<=\p{N})\p{N}{3}|(?<!\p{N})\p{N}{1,3}(?=(?:\p{N}{3})*+(?!\p{N})))re",
    R"re([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF}\x{FF65}-\x{FF9F})re"
        R"re(\x{2F00}-\x{2FDF}\x{0E40}-\x{0E7F}\x{0E80}-\x{0EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F})re"
        R"re(\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)re",
    R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)re"
        R"re(\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer afmoe = {
    .names = names,
    .doc = "numbers in threes from the right, scripts without spaces, then the words of DeepSeek V3",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
