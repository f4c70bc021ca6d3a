// Finding added tokens with all their options.
#include "text/tokenizer_json/added_tokens.h"

#include <gtest/gtest.h>

namespace tailor::text::tokenizer_json {
namespace {

/// The fragments, tokens in brackets.
std::string split(const std::vector<AddedToken>& tokens, std::string_view text, bool with_special = true) {
    std::vector<std::string> forms;
    for (const AddedToken& token : tokens) forms.push_back(token.content);
    std::string result;
    for (const Fragment& fragment : AddedTokens(tokens, forms).split(text, with_special)) {
        const std::string part(text.substr(fragment.span.begin, fragment.span.length));
        (result += result.empty() ? "" : ",") += fragment.id < 0 ? part : "[" + part + "]";
    }
    return result;
}

TEST(AddedTokens, LongestFromTheLeft) {
    const std::vector<AddedToken> tokens{{"ab", 0}, {"abc", 1}, {"cd", 2}};
    EXPECT_EQ(split(tokens, "xabcdab"), "x,[abc],d,[ab]");
    EXPECT_EQ(split(tokens, ""), "");
    EXPECT_EQ(split({}, "ab"), "ab");
    EXPECT_EQ(split({{"", 0}}, "ab"), "ab");
}

TEST(AddedTokens, WhiteSpaceAround) {
    const std::vector<AddedToken> tokens{
        {.content = "<l>", .id = 0, .strips_left = true}, {.content = "<r>", .id = 1, .strips_right = true}, {" <s>", 2}};
    EXPECT_EQ(split(tokens, "a \u3000<l> b"), "a,[ \u3000<l>], b");
    EXPECT_EQ(split(tokens, "a <r> \n b"), "a ,[<r> \n ],b");
    EXPECT_EQ(split(tokens, "<r> <l>"), "[<r> ],[<l>]") << "taken once";
    EXPECT_EQ(split(tokens, "<r> <s>x"), "[<r> ],[<s>],x") << "the space was already taken";
}

TEST(AddedTokens, WordsOfTheirOwn) {
    const std::vector<AddedToken> tokens{{.content = "to", .id = 0, .single_word = true}};
    EXPECT_EQ(split(tokens, "to go into tot, (to) étoé to"), "[to], go into tot, (,[to],) étoé ,[to]");
}

TEST(AddedTokens, SpecialOnesOnRequest) {
    const std::vector<AddedToken> tokens{{.content = "<s>", .id = 0, .special = true}, {"s>x", 1}};
    EXPECT_EQ(split(tokens, "a<s>x", true), "a,[<s>],x");
    EXPECT_EQ(split(tokens, "a<s>x", false), "a<s>x") << "what it covers is not searched again";
    EXPECT_EQ(split(tokens, "as>x", false), "a,[s>x]");
}

}  // namespace
}  // namespace tailor::text::tokenizer_json
