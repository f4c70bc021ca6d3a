// WordPiece, the tokenizer of BERT: text is cleaned and cut into words and punctuation marks, and each word is written in
// the longest token that begins it, then the longest that continues it, and so on (greedily, without probabilities). A word
// that cannot be written so to its end becomes one unknown token. Devlin et al., "BERT", 2019; Wu et al. 2016.
//
// The same token may have another form at the start of a word than inside: vocabularies write "##ing" for the inside, GGUF
// files "▁walk" for the start. Here both kinds are given without such marks.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/trie.h"

namespace tailor::text {

struct BertRules {
    bool clean = true;           ///< drop control characters, make all white space a space
    bool separate_han = true;    ///< a space on either side of every ideograph
    bool strip_accents = true;   ///< decompose (NFD), then drop the accents
    bool lower_case = true;
};

/// `text`, valid UTF-8, by these rules.
std::string bert_normalized(std::string_view text, const BertRules& rules);

/// Appends the words of `text`: what stands between white space, with every punctuation mark for itself.
void bert_words(std::string_view text, std::vector<Span>& words);

/// `text` without the spaces that stand before English punctuation and contractions once words were joined by spaces.
std::string without_word_spaces(std::string text);

class WordPiece {
  public:
    struct Piece {
        std::string_view text;
        TokenId id = -1;
    };
    WordPiece() = default;
    /// Keeps nothing of the texts.
    WordPiece(std::span<const Piece> starts, std::span<const Piece> insides);

    /// Appends the tokens of a word that is not empty; false, and nothing is appended, if it cannot be written.
    bool segment(std::string_view word, std::vector<TokenId>& ids) const;

  private:
    Trie starts_, insides_;
};

}  // namespace tailor::text
