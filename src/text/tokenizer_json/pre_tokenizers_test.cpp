// Every type of pre-tokenizer and every behaviour of a cut.
#include "text/tokenizer_json/pre_tokenizers.h"

#include <gtest/gtest.h>

namespace tailor::text::tokenizer_json {
namespace {

std::string cut(const std::string& json, const std::string& text, bool starts = true) {
    const core::Json parsed = core::Json::parse(json);
    Pieces pieces(text, starts);
    make_pre_tokenizer(Element(parsed, "file: pre_tokenizer"))(pieces);
    std::string result;
    for (std::size_t i = 0; i < pieces.spans.size(); ++i) (result += i ? "|" : "") += pieces[i];
    return result;
}

std::string split(const std::string& behavior, const std::string& text, bool invert = false) {
    const std::string rest = "\", \"invert\": " + std::string(invert ? "true}" : "false}");
    return cut(R"({"type": "Split", "pattern": {"Regex": "\\d"}, "behavior": ")" + behavior + rest, text);
}

TEST(JsonPreTokenizers, Behaviors) {
    const std::string text = "1ab23c4";
    EXPECT_EQ(split("Removed", text), "ab|c");
    EXPECT_EQ(split("Isolated", text), "1|ab|2|3|c|4");
    EXPECT_EQ(split("Contiguous", text), "1|ab|23|c|4");
    EXPECT_EQ(split("MergedWithPrevious", text), "1|ab2|3|c4");
    EXPECT_EQ(split("MergedWithNext", text), "1ab|2|3c|4");
    EXPECT_EQ(split("Removed", text, true), "1|2|3|4");
    EXPECT_EQ(split("MergedWithNext", text, true), "1|ab2|3|c4") << "what lies between is what goes with a neighbour";
    EXPECT_EQ(split("Removed", "12"), "");
    EXPECT_EQ(split("Isolated", ""), "");
    EXPECT_EQ(cut(R"x({"type": "Split", "pattern": {"Regex": "(?=b)"}, "behavior": "Isolated"})x", "abb"), "a|b|b");
    EXPECT_EQ(cut(R"({"type": "Split", "pattern": {"String": "ab"}, "behavior": "MergedWithPrevious"})", "xababx"), "xab|ab|x");
}

TEST(JsonPreTokenizers, ForEveryType) {
    EXPECT_EQ(cut("null", "a b"), "a b");
    EXPECT_EQ(cut(R"({"type": "BertPreTokenizer"})", " it's  so\u3000字!"), "it|'|s|so|字|!");
    EXPECT_EQ(cut(R"({"type": "Whitespace"})", "a_1\u0301 b-+c\n\n."), "a_1\u0301|b|-+|c|.");
    EXPECT_EQ(cut(R"({"type": "WhitespaceSplit"})", " a_1  b-c\u00A0d\n"), "a_1|b-c|d");
    EXPECT_EQ(cut(R"({"type": "Punctuation"})", "a--b!"), "a|-|-|b|!");
    EXPECT_EQ(cut(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a--b!"), "a|--|b|!");
    EXPECT_EQ(cut(R"({"type": "Digits"})", "ab12Ⅷc"), "ab|12Ⅷ|c");
    EXPECT_EQ(cut(R"({"type": "Digits", "individual_digits": true})", "ab12c"), "ab|1|2|c");
    EXPECT_EQ(cut(R"({"type": "CharDelimiterSplit", "delimiter": "é"})", "aébéé"), "a|b");
    EXPECT_EQ(cut(R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Digits"}]})", "a1 b"), "a|1|b");
}

TEST(JsonPreTokenizers, ByteLevel) {
    EXPECT_EQ(cut(R"({"type": "ByteLevel"})", "it's é"), "Ġit|'s|ĠÃ©");
    EXPECT_EQ(cut(R"({"type": "ByteLevel", "add_prefix_space": false})", "it  a\n"), "it|Ġ|Ġa|Ċ");
    EXPECT_EQ(cut(R"({"type": "ByteLevel", "add_prefix_space": true, "use_regex": false})", " a b"), "ĠaĠb");
    const char* const digits_first = R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]})";
    EXPECT_EQ(cut(digits_first, "a1"), "Ġa|Ġ1") << "every piece is prefixed";
}

TEST(JsonPreTokenizers, Metaspace) {
    const auto metaspace = [](const std::string& more) { return R"({"type": "Metaspace", "replacement": "▁")" + more + "}"; };
    EXPECT_EQ(cut(metaspace(""), "a b  c"), "▁a|▁b|▁|▁c") << "always is the default";
    EXPECT_EQ(cut(metaspace(""), " a"), "▁a");
    EXPECT_EQ(cut(metaspace(""), "a", false), "▁a");
    EXPECT_EQ(cut(metaspace(R"(, "prepend_scheme": "first")"), "a b"), "▁a|▁b");
    EXPECT_EQ(cut(metaspace(R"(, "prepend_scheme": "first")"), "a b", false), "a|▁b");
    EXPECT_EQ(cut(metaspace(R"(, "prepend_scheme": "never", "split": false)"), "a b"), "a▁b");
    EXPECT_EQ(cut(metaspace(R"(, "add_prefix_space": false)"), "a b"), "a|▁b") << "the older name";
    const std::string words = R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, )";
    EXPECT_EQ(cut(words + metaspace(R"(, "prepend_scheme": "first")") + "]}", "a b"), "▁a|b");
    EXPECT_EQ(cut(words + metaspace(R"(, "prepend_scheme": "first")") + "]}", " a b"), "a|b") << "no word begins the text";
    EXPECT_EQ(cut(words + metaspace("") + "]}", "a b"), "▁a|▁b");
}

TEST(JsonPreTokenizers, Refusals) {
    const auto kind = [](const std::string& json) {
        try {
            cut(json, "text");
        } catch (const core::Error& error) {
            EXPECT_NE(std::string(error.what()).find("file: pre_tokenizer"), std::string::npos) << error.what();
            return error.kind();
        }
        return core::ErrorKind::bug;
    };
    EXPECT_EQ(kind(R"({"type": "UnicodeScripts"})"), core::ErrorKind::unsupported);
    EXPECT_EQ(kind(R"({"type": "Split", "pattern": {"String": " "}, "behavior": "Lost"})"), core::ErrorKind::unsupported);
    EXPECT_EQ(kind(R"({"type": "Split", "behavior": "Removed"})"), core::ErrorKind::format);
    EXPECT_EQ(kind(R"({"type": "Metaspace", "replacement": "ab"})"), core::ErrorKind::format);
    EXPECT_EQ(kind(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"), core::ErrorKind::unsupported);
    EXPECT_EQ(kind(R"({"type": "CharDelimiterSplit", "delimiter": ""})"), core::ErrorKind::format);
}

TEST(JsonPreTokenizers, GrowthHasAnEnd) {
    std::string doubling = R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"})";
    for (int i = 0; i < 60; ++i) doubling += R"(, {"type": "ByteLevel", "use_regex": false})";
    EXPECT_THROW(cut(doubling + "]}", "é"), core::Error);
}

}  // namespace
}  // namespace tailor::text::tokenizer_json
