// Cleaning, cutting and matching as BERT does.
#include "text/word_piece.h"

#include <gtest/gtest.h>

namespace tailor::text {
namespace {

TEST(WordPiece, Normalization) {
    EXPECT_EQ(bert_normalized("Äpfel\tNAÏVE\x01\u200B", {}), "apfel naive");
    EXPECT_EQ(bert_normalized("a\u0301b世c", {}), "ab 世 c");
    EXPECT_EQ(bert_normalized("한", {}), "\u1112\u1161\u11AB") << "decomposed, for jamo are no accents";
    EXPECT_EQ(bert_normalized("a\r\n\u0085\u3000b", {}), "a   b") << "U+0085 is a control character first";
    EXPECT_EQ(bert_normalized("İI", {}), "ii") << "the dot is an accent by then";
    EXPECT_EQ(bert_normalized("Ä世\t", {.clean = false, .separate_han = false, .strip_accents = false, .lower_case = true}), "ä世\t");
    EXPECT_EQ(bert_normalized("ÄÖ", {.strip_accents = false, .lower_case = false}), "ÄÖ");
    EXPECT_EQ(bert_normalized("", {}), "");
}

TEST(WordPiece, Words) {
    const std::string text = " don't  $5.00—ok! ";
    std::vector<Span> words;
    bert_words(text, words);
    std::string joined;
    for (const Span& word : words) (joined += text.substr(word.begin, word.length)) += '|';
    EXPECT_EQ(joined, "don|'|t|$|5|.|00|—|ok|!|");
}

TEST(WordPiece, LongestTokenFromTheLeft) {
    const std::vector<WordPiece::Piece> starts{{"un", 0}, {"unaff", 1}, {"a", 2}}, insides{{"able", 3}, {"a", 4}, {"ffable", 5}};
    const WordPiece words(starts, insides);
    std::vector<TokenId> ids;
    EXPECT_TRUE(words.segment("unaffable", ids));
    EXPECT_EQ(ids, (std::vector<TokenId>{1, 3}));
    EXPECT_FALSE(words.segment("unaffab", ids)) << "the longest start leads nowhere, and there is no way back";
    EXPECT_EQ(ids.size(), 2u) << "a word that fails leaves nothing";
    EXPECT_FALSE(words.segment("able", ids)) << "no start";
}

TEST(WordPiece, SpacesBeforeMarks) {
    EXPECT_EQ(without_word_spaces("i ' m here , you do n't ; we 've ?"), "i'm here, you don't ; we've?");
    EXPECT_EQ(without_word_spaces("no change"), "no change");
}

}  // namespace
}  // namespace tailor::text
