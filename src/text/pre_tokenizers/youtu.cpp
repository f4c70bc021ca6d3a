// Youtu: Korean, full-width punctuation, Bopomofo, Chinese and Japanese are cut out first; then the words of GPT-4o with
// single digits.
#include "text/tokenizer.h"

namespace tailor::text::pre_tokenizers::entries {

static constexpr std::string_view names[] = {"youtu"};
static constexpr std::string_view expressions[] = {
    R"re([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|)re"
        R"re([\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F})re"
        R"re(\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)re",
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)re"
        R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
        R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)re"
        R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|)re"
        R"re(\s+(?!\S)|\s+)re",
};

extern const PreTokenizer youtu = {
    .names = names,
    .doc = "East Asian scripts, then the words of GPT-4o with single digits",
    .expressions = expressions,
    .whole_words_first = true,
};

}  // namespace tailor::text::pre_tokenizers::entries
