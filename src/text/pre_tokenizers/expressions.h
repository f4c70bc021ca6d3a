// Expressions that several pre-tokenizers share. They come from the models' own tokenizer.json files, with these changes
// that keep their meaning: (?i:'s) is written '[sS], since case folding would also admit U+017F; look-ahead that would
// make long input quadratic is written so that it does not.
//
// All have the same shape: alternatives in order of preference. A word takes the space before it along; of a run of
// white space the last space is left for the next word (\s+(?!\S)).
#pragma once
#include <string_view>

namespace tailor::text::pre_tokenizers {

/// GPT-2: English contractions, letters, numbers, the rest; white space.
inline constexpr std::string_view gpt2_words =
    R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re";

/// Llama 3 (OpenAI's cl100k): one character of any kind may lead a word, numbers come in threes, line ends stay with
/// punctuation.
inline constexpr std::string_view llama3_words =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";

/// Qwen 2: as Llama 3, but every digit for itself.
inline constexpr std::string_view qwen2_words =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";

/// GPT-4o (OpenAI's o200k): words also break where lower case turns to upper, and take combining marks and contractions
/// along.
inline constexpr std::string_view o200k_words =
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)re"
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)re"
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|)re"
    R"re(\s+(?!\S)|\s+)re";

}  // namespace tailor::text::pre_tokenizers
