// The added tokens of a tokenizer.json file: tokens that are looked for in the text itself, before anything is cut.
//
// From the left, the longest one at every place. A token may ask to be taken only as a word of its own, and to swallow the
// white space on its left or right. One that is "normalized" is looked for after the text was normalized, in its own
// normalized form. One that is "special" is control, not text: it is found only where the caller allows it.
#pragma once
#include <string>
#include <vector>

#include "text/regex.h"
#include "text/special_tokens.h"
#include "text/trie.h"

namespace tailor::text::tokenizer_json {

struct AddedToken {
    std::string content;
    TokenId id = -1;
    bool single_word = false, strips_left = false, strips_right = false, normalized = false, special = false;
};

class AddedTokens {
  public:
    AddedTokens() = default;
    /// Those of `tokens` that are looked for before (or after) normalization; `forms` are their texts as they stand there.
    AddedTokens(std::vector<AddedToken> tokens, const std::vector<std::string>& forms);

    /// The fragments of valid UTF-8 in order, without empty ones.
    std::vector<Fragment> split(std::string_view text, bool with_special) const;

  private:
    std::vector<AddedToken> tokens_;
    Trie trie_;  ///< numbers of tokens_
};

}  // namespace tailor::text::tokenizer_json
