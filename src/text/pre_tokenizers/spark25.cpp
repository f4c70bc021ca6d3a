// Spark 2.5: as DeepSeek V3, but punctuation leaves line ends alone and digits end up single.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"spark2_5"};
static constexpr std::string_view expressions[] = {
    R"re(\p{N}{1,3})re",
    R"re([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)re",
    R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|)re"
        R"re(\s+(?!\S)|\s+)re",
    R"re(\p{N})re",
};

extern const PreTokenizer spark25 = {
    .names = names,
    .doc = "the words of DeepSeek V3 with single digits and line ends",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
