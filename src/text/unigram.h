// Unigram segmentation: of all ways to write a text in tokens, the most probable.
//
// Every token has a log probability; the tokens of a text are taken as independent, so the best segmentation maximizes
// the sum of their scores. With best(0) = 0 and best(j) = max over tokens that are text[i..j) of best(i) + score, one pass
// from left to right finds it (Viterbi). A character that is no token can still be passed at a price below every token's,
// 10 less than the lowest score, as SentencePiece has it. Kudo, "Subword regularization", 2018, equation 2.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/trie.h"

namespace tailor::text {

class Unigram {
  public:
    struct Piece {
        std::string_view text;
        TokenId id = -1;
        double score = 0;
    };
    struct Segment {
        std::size_t begin = 0, length = 0;
        TokenId id = -1;  ///< -1: characters that no token covers; neighbours of this kind are one segment
    };
    Unigram() = default;
    /// `lowest_score`: of all tokens that were learned, in `pieces` or not. Keeps nothing of the texts.
    Unigram(std::span<const Piece> pieces, double lowest_score);

    /// The best segmentation of `text`; of equally good ones the one whose last token is longest. Bytes that are not
    /// UTF-8 count as characters.
    std::vector<Segment> segment(std::string_view text) const;

  private:
    Trie trie_;  ///< numbers of pieces
    std::vector<TokenId> ids_;
    std::vector<double> scores_;
    double unknown_score_ = 0;
};

}  // namespace tailor::text
