// DeepSeek Coder: as DeepSeek LLM, with all letters alike and single digits.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"deepseek-coder"};
static constexpr std::string_view expressions[] = {
    R"re([\r\n])re",
    R"re(\s?\p{L}+)re",
    R"re(\s?\p{P}+)re",
    R"re([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)re",
    R"re(\p{N})re",
};

extern const PreTokenizer deepseek_coder = {
    .names = names,
    .doc = "line ends, letters, punctuation, CJK and single digits in turn",
    .expressions = expressions,
};

}  // namespace tailor::text::pre_tokenizers::entries
