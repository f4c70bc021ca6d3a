// The most probable segmentation against all segmentations.
#include "text/unigram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

namespace tailor::text {
namespace {

std::string cut(const Unigram& unigram, std::string_view text) {
    std::string result;
    for (const Unigram::Segment& segment : unigram.segment(text))
        (((result += result.empty() ? "" : "|") += text.substr(segment.begin, segment.length)) += segment.id < 0 ? "?" : "");
    return result;
}

TEST(Unigram, TakesTheHighestSum) {
    const std::vector<Unigram::Piece> pieces{{"a", 0, -2}, {"b", 1, -2}, {"ab", 2, -3}, {"abc", 3, -9}, {"c", 4, -2}, {"bc", 5, -2.5}};
    const Unigram unigram(pieces, -9);
    EXPECT_EQ(cut(unigram, "ab"), "ab");
    EXPECT_EQ(cut(unigram, "abc"), "a|bc") << "-4.5 beats -5 and -9";
    EXPECT_EQ(cut(unigram, "aé字b"), "a|é字?|b") << "unknown neighbours are one";
    EXPECT_EQ(cut(unigram, "\xFF\x80" "c"), "\xFF\x80?|c");
    EXPECT_EQ(cut(unigram, ""), "");
    EXPECT_EQ(cut(Unigram(), "ab"), "ab?");
}

TEST(Unigram, UnknownCharactersArePassedOnlyAtAPrice) {
    const std::vector<Unigram::Piece> pieces{{"xy", 0, -5}, {"y", 1, -1}};
    // "x" alone is unknown at -15, so "x|y" costs 16 and "xy" 5.
    EXPECT_EQ(cut(Unigram(pieces, -5), "xyx"), "xy|x?");
    EXPECT_EQ(cut(Unigram(pieces, -5), "yxy"), "y|xy");
}

TEST(Unigram, AgreesWithTryingEverything) {
    std::mt19937 random(2);
    for (int round = 0; round < 200; ++round) {
        std::vector<std::string> texts{"a", "b", "c"};
        for (int i = 0; i < 8; ++i) {
            std::string text;
            for (std::size_t j = random() % 4 + 1; j > 0; --j) text += static_cast<char>('a' + random() % 3);
            if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
        }
        std::vector<Unigram::Piece> pieces;
        for (std::size_t i = 0; i < texts.size(); ++i)
            pieces.push_back({texts[i], static_cast<TokenId>(i), -1 - static_cast<double>(random() % 1000) / 100});
        const Unigram unigram(pieces, -11);
        std::string text;
        for (int i = 0; i < 9; ++i) text += static_cast<char>('a' + random() % 3);
        const std::function<double(std::size_t)> best = [&](std::size_t at) {
            double score = at == text.size() ? 0 : -1e9;
            for (const Unigram::Piece& piece : pieces)
                if (text.compare(at, piece.text.size(), piece.text) == 0 && at < text.size())
                    score = std::max(score, piece.score + best(at + piece.text.size()));
            return score;
        };
        double sum = 0;
        for (const Unigram::Segment& segment : unigram.segment(text)) sum += pieces[static_cast<std::size_t>(segment.id)].score;
        EXPECT_NEAR(sum, best(0), 1e-9) << text;
    }
}

}  // namespace
}  // namespace tailor::text
