// Special tokens in text: which one wins, who may ask for them, and a slow search that must agree.
#include "text/special_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace tailor::text {
namespace {

/// "plain|#id|plain"
std::string show(const SpecialTokens& tokens, std::string_view text, bool with_control) {
    std::string result;
    for (const Fragment& f : tokens.split(text, with_control)) {
        if (!result.empty()) result += '|';
        result += f.id >= 0 ? "#" + std::to_string(f.id) : std::string(text.substr(f.span.begin, f.span.length));
    }
    return result;
}

TEST(SpecialTokens, ControlTokensOnlyOnRequest) {
    const SpecialTokens tokens({{"<s>", 1, true, false}, {"<|user|>", 2, false, false}});
    EXPECT_EQ(show(tokens, "a<s>b<|user|>c", false), "a<s>b|#2|c");
    EXPECT_EQ(show(tokens, "a<s>b<|user|>c", true), "a|#1|b|#2|c");
    EXPECT_EQ(show(tokens, "<s>", true), "#1");
    EXPECT_EQ(show(tokens, "", true), "");
    EXPECT_EQ(show(SpecialTokens({{"", 3, false, false}}), "ab", true), "ab");
}

TEST(SpecialTokens, TheLongestWinsEvenIfItBeginsLater) {
    const SpecialTokens tokens(
        {{"ab", 1, false, false}, {"bcd", 2, false, false}, {"  ", 3, false, false}, {"    ", 4, false, false}});
    EXPECT_EQ(show(tokens, "abcd", false), "a|#2");
    EXPECT_EQ(show(tokens, "abab", false), "#1|#1");
    EXPECT_EQ(show(tokens, "       x", false), "#4|#3| x");
}

TEST(SpecialTokens, SwallowWhiteSpaceToTheRight) {
    const SpecialTokens tokens({{"<|end|>", 1, true, true}, {"<s>", 2, true, false}});
    EXPECT_EQ(show(tokens, "a <|end|> \n b<s> c<|end|>  ", true), "a |#1|b|#2| c|#1");
}

TEST(SpecialTokens, AgreeWithReplacingOneTokenAfterTheOther) {
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
        std::vector<std::string> names;
        while (names.size() < 8) {
            std::string name;
            for (unsigned i = 0, n = 1 + random() % 5; i < n; ++i) name += static_cast<char>('a' + random() % 3);
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
        }
        std::vector<SpecialTokens::Entry> entries;
        for (std::size_t i = 0; i < names.size(); ++i) entries.push_back({names[i], static_cast<TokenId>(i), false, false});
        std::string text;
        for (int i = 0; i < 30; ++i) text += static_cast<char>('a' + random() % 4);

        // The longest length first; within it every place from left to right.
        std::vector<TokenId> owner(text.size(), -1);
        std::vector<std::pair<std::size_t, TokenId>> expected;
        for (std::size_t length = 5; length >= 1; --length)
            for (std::size_t at = 0; at + length <= text.size(); ++at) {
                const auto name = std::find(names.begin(), names.end(), text.substr(at, length));
                const auto end = owner.begin() + static_cast<std::ptrdiff_t>(at + length);
                if (name == names.end() ||
                    std::any_of(owner.begin() + static_cast<std::ptrdiff_t>(at), end, [](TokenId o) { return o >= 0; }))
                    continue;
                std::fill(owner.begin() + static_cast<std::ptrdiff_t>(at), end, static_cast<TokenId>(name - names.begin()));
                expected.emplace_back(at, static_cast<TokenId>(name - names.begin()));
            }
        std::sort(expected.begin(), expected.end());
        std::vector<std::pair<std::size_t, TokenId>> found;
        std::string joined;
        for (const Fragment& f : SpecialTokens(entries).split(text, false)) {
            if (f.id >= 0) found.emplace_back(f.span.begin, f.id);
            joined += text.substr(f.span.begin, f.span.length);
        }
        EXPECT_EQ(found, expected) << text;
        EXPECT_EQ(joined, text);
    }
}

}  // namespace
}  // namespace tailor::text
