// What the pre-tokenizers rely on: look-ahead, properties, gaps, empty matches and long texts.
#include "text/regex.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace tailor::text {
namespace {

std::vector<std::string> cut(std::string_view expression, std::string_view text) {
    std::vector<Span> result;
    Regex(expression).cut(text, {{0, text.size()}}, result);
    std::vector<std::string> pieces;
    for (const Span& span : result) pieces.emplace_back(text.substr(span.begin, span.length));
    return pieces;
}

using Pieces = std::vector<std::string>;

TEST(Regex, MatchesAndGapsBecomePieces) {
    EXPECT_EQ(cut(R"(\p{N}+)", "ab12cd3"), (Pieces{"ab", "12", "cd", "3"}));
    EXPECT_EQ(cut(R"(\p{N}+)", "12"), (Pieces{"12"}));
    EXPECT_EQ(cut(R"(\p{N}+)", "ab"), (Pieces{"ab"}));
    EXPECT_EQ(cut(R"(\p{N}+)", ""), (Pieces{}));
}

TEST(Regex, EmptyMatchesCutWhereTheyStand) {
    EXPECT_EQ(cut("(?=é)", "aébéé"), (Pieces{"a", "éb", "é", "é"}));
    EXPECT_EQ(cut("x*", "字字"), (Pieces{"字", "字"}));
}

TEST(Regex, MatchesSeeOnlyTheirPiece) {
    const std::string_view text = "  a";
    std::vector<Span> result;
    Regex(R"(\s+(?!\S)|\s+)").cut(text, {{0, 2}, {2, 1}}, result);
    ASSERT_EQ(result.size(), 2u);
    EXPECT_EQ(result[0].length, 2u) << "the letter after the piece is out of sight";
    EXPECT_EQ(cut(R"(\s+(?!\S)|\s+)", text), (Pieces{" ", " ", "a"}));
}

TEST(Regex, WhiteSpaceIsTheUnicodeProperty) {
    EXPECT_EQ(cut(R"(\s)", "a\u00A0b\u0085c\u3000d"), (Pieces{"a", "\u00A0", "b", "\u0085", "c", "\u3000", "d"}));
    EXPECT_EQ(cut(R"([^\S])", "a\u180Eb c"), (Pieces{"a\u180Eb", " ", "c"}));
    EXPECT_EQ(cut(R"(\\s)", "a\\sb"), (Pieces{"a", "\\s", "b"})) << "an escaped backslash stays one";
    EXPECT_EQ(cut(R"(\s+$)", " a \n"), (Pieces{" a", " \n"})) << "$ is the very end, not before a last line end";
}

TEST(Regex, LongTextsNeedNoStack) {
    const std::string words(300000, 'a');
    EXPECT_EQ(cut(R"((?:\p{L}\p{M}*)+)", words).size(), 1u);
    EXPECT_EQ(cut(R"((?:a|b)*?c)", words).size(), 1u);
}

TEST(Regex, BadExpressionsAreBugs) {
    try {
        Regex("a(");
        FAIL();
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::bug);
    }
}

Pieces ruby(std::string_view expression, std::string_view text) {
    std::vector<Span> result;
    Regex::oniguruma(expression, "test").cut(text, {{0, text.size()}}, result);
    Pieces pieces;
    for (const Span& span : result) pieces.emplace_back(text.substr(span.begin, span.length));
    return pieces;
}

TEST(Regex, OnigurumaMeansWhatItMeantThere) {
    EXPECT_EQ(ruby(R"(\w+)", "aé\u0301Ⅷⓐ_1-½"), (Pieces{"aé\u0301Ⅷⓐ_1", "-½"}));
    EXPECT_EQ(ruby(R"([\w-]+)", "a-b c"), (Pieces{"a-b", " ", "c"}));
    EXPECT_EQ(ruby(R"(\W+)", "a- b"), (Pieces{"a", "- ", "b"}));
    EXPECT_EQ(ruby(R"(\h+)", "xBEEFy"), (Pieces{"x", "BEEF", "y"})) << "a hexadecimal digit";
    EXPECT_EQ(ruby(R"(^b$)", "a\nb\nc"), (Pieces{"a\n", "b", "\nc"})) << "anchors are about lines";
    EXPECT_EQ(ruby(R"((?m:a.b))", "a\nb"), (Pieces{"a\nb"})) << "m lets the dot match line ends";
    EXPECT_EQ(ruby(R"(\p{Han}+)", "a字、b"), (Pieces{"a", "字", "、b"})) << "the script alone";
    EXPECT_EQ(ruby(R"(\p{Letter}+|\p{^L})", "ab12"), (Pieces{"ab", "1", "2"}));
    EXPECT_EQ(ruby(R"(\u0061+)", "baab"), (Pieces{"b", "aa", "b"}));
    EXPECT_EQ(ruby(R"([[:alpha:]]+)", "ab1"), (Pieces{"ab", "1"}));
    EXPECT_EQ(ruby(R"([]a]+)", "x]a"), (Pieces{"x", "]a"}));
    EXPECT_EQ(ruby(R"(\s+(?!\S)|\s+)", "a  b\u00A0"), (Pieces{"a", " ", " ", "b", "\u00A0"}));
}

TEST(Regex, WhatOnigurumaAloneHasIsRefused) {
    for (const char* expression : {"[a&&b]", "[a[bc]]", R"([\W_])", "a(", R"(\p{NoSuchScript})", R"(\C)", R"(\u12)", "[a"}) {
        try {
            Regex::oniguruma(expression, "the place");
            FAIL() << expression;
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), core::ErrorKind::unsupported);
            EXPECT_EQ(std::string(error.what()).find("the place"), 0u) << error.what();
        }
    }
}

TEST(Regex, MatchesAreReportedEvenWhereEmpty) {
    std::vector<Span> found;
    Regex("x*").matches("axxb", {0, 4}, found);
    std::string result;
    for (const Span& span : found) result += std::to_string(span.begin) + "+" + std::to_string(span.length) + " ";
    EXPECT_EQ(result, "0+0 1+2 4+0 ") << "none right after another, one at the end";
}

}  // namespace
}  // namespace tailor::text
