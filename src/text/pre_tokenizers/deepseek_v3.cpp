// DeepSeek V3 and R1 and relatives: numbers in threes, Chinese and Japanese, then words.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"};
static constexpr std::string_view expressions[] = {
    R"re(\p{N}{1,3})re",
    R"re([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)re",
    R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)re"
        R"re(\s*[\r\n]+|\s+(?!\S)|\s+)re",
};

extern const PreTokenizer deepseek_v3 = {
    .names = names,
    .doc = "numbers in threes, Chinese and Japanese runs, then words",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
