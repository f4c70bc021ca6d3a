// The four models on vocabularies small enough to work by hand.
#include "text/tokenizer_json/models.h"

#include <gtest/gtest.h>

#include <memory>

namespace tailor::text::tokenizer_json {
namespace {

/// The tokens of a word, or what the model is refused with.
std::string tokens(const std::string& json, const std::string& word) {
    const core::Json parsed = core::Json::parse(json);
    const Element element(parsed, "file: model");
    try {
        const TokenList list(model_tokens(element), element);
        std::vector<bool> hidden(list.size(), false);
        for (std::size_t i = 0; i < list.size(); ++i) hidden[i] = list.text(static_cast<TokenId>(i)).substr(0, 1) == "<";
        std::vector<TokenId> ids;
        make_model(element, list, hidden)->encode(word, ids);
        std::string result;
        for (const TokenId id : ids) (result += result.empty() ? "" : "|") += list.text(id);
        return result;
    } catch (const core::Error& error) {
        EXPECT_EQ(std::string(error.what()).find("file: model"), 0u) << error.what();
        return std::string(error.kind() == core::ErrorKind::unsupported ? "unsupported: " : "format: ") + error.what();
    }
}

TEST(JsonModels, Bpe) {
    const auto bpe = [](const std::string& more) {
        return R"({"type": "BPE", "vocab": {"<u>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5, "aa": 6, "<0xC3>": 7, "<0xA9>": 8, "cab": 9},
            "merges": ["a b", ["ab", "c"], "a a"])" + more + "}";
    };
    EXPECT_EQ(tokens(bpe(""), "abcaab"), "abc|a|ab") << "a b comes before a a";
    EXPECT_EQ(tokens(bpe(""), "axb"), "ab") << "without an unknown token a character vanishes";
    EXPECT_EQ(tokens(bpe(R"(, "unk_token": "<u>")"), "axyb"), "a|<u>|<u>|b");
    EXPECT_EQ(tokens(bpe(R"(, "unk_token": "<u>", "fuse_unk": true)"), "axyb"), "a|<u>|b");
    EXPECT_EQ(tokens(bpe(R"(, "unk_token": "<u>", "byte_fallback": true)"), "aéx"), "a|<0xC3>|<0xA9>|<u>");
    EXPECT_EQ(tokens(bpe(""), "cab"), "c|ab");
    EXPECT_EQ(tokens(bpe(R"(, "ignore_merges": true)"), "cab"), "cab");
    EXPECT_EQ(tokens(bpe(R"(, "ignore_merges": true)"), "<u>"), "") << "a hidden token is not text";
    EXPECT_EQ(tokens(bpe(R"(, "dropout": 0.5)"), "ab"), "ab") << "dropout is for training";
}

TEST(JsonModels, BpeMarksPartsOfWords) {
    const char* const json = R"({"vocab": {"a": 0, "##b": 1, "##b</w>": 2, "a##": 3, "ab": 4, "##bb</w>": 5},
        "merges": ["a ##b", "##b ##b</w>"], "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"})";
    EXPECT_EQ(tokens(json, "abb"), "ab|##b</w>") << "and a file without a type";
    EXPECT_EQ(tokens(json, "bab"), "##b</w>") << "no b begins a word, no a continues one";
}

TEST(JsonModels, MalformedMergesAreRefused) {
    for (const char* merges : {R"(["ab"])", R"(["a b c"])", R"([["a"]])", R"([["a", 1]])", R"(["a x"])", R"(["b a"])", R"([" a"])",
                               R"({"a": 1})", "[7]"}) {
        const std::string message = tokens(std::string(R"({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": )") + merges + "}", "a");
        EXPECT_EQ(message.substr(0, 6), "format") << merges << ": " << message;
        EXPECT_NE(message.find("merges"), std::string::npos) << message;
    }
}

TEST(JsonModels, Unigram) {
    const auto unigram = [](const std::string& more) {
        return R"({"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -2], ["b", -2.0], ["ab", -3.5], ["<0xC3>", -9], ["<0xA9>", -9]])" + more + "}";
    };
    EXPECT_EQ(tokens(unigram(R"(, "unk_id": 0)"), "aab"), "a|ab");
    EXPECT_EQ(tokens(unigram(R"(, "unk_id": 0)"), "a字字b"), "a|<unk>|b");
    EXPECT_EQ(tokens(unigram(R"(, "unk_id": 0, "byte_fallback": true)"), "é字"), "<unk>") << "the run has a byte that is no token";
    EXPECT_EQ(tokens(unigram(R"(, "unk_id": 0, "byte_fallback": true)"), "aé"), "a|<0xC3>|<0xA9>");
    EXPECT_EQ(tokens(unigram(R"(, "unk_id": 0)"), "<unk>").find("<unk>"), 0u);
    EXPECT_EQ(tokens(unigram(""), "字").substr(0, 11), "unsupported");
    EXPECT_EQ(tokens(unigram(R"(, "unk_id": 6)"), "a").substr(0, 6), "format");
    for (const char* vocab : {R"([["a"]])", R"([["a", "b"]])", R"([[1, 2]])", R"({"a": 1})", R"([["a", null]])"})
        EXPECT_EQ(tokens(std::string(R"({"type": "Unigram", "vocab": )") + vocab + "}", "a").substr(0, 6), "format") << vocab;
}

TEST(JsonModels, WordPiece) {
    const char* const json = R"({"type": "WordPiece", "unk_token": "<u>", "max_input_chars_per_word": 4,
        "vocab": {"<u>": 0, "un": 1, "##do": 2, "##d": 3, "é": 4, "##é": 5}})";
    EXPECT_EQ(tokens(json, "undo"), "un|##do");
    EXPECT_EQ(tokens(json, "und"), "un|##d");
    EXPECT_EQ(tokens(json, "undx"), "<u>");
    EXPECT_EQ(tokens(json, "éééé"), "é|##é|##é|##é") << "four characters, eight bytes";
    EXPECT_EQ(tokens(json, "ééééé"), "<u>");
    EXPECT_EQ(tokens(R"({"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"a": 0}})", "a").substr(0, 6), "format");
}

TEST(JsonModels, WordLevel) {
    const char* const json = R"({"type": "WordLevel", "unk_token": "<u>", "vocab": {"<u>": 0, "word": 1}})";
    EXPECT_EQ(tokens(json, "word"), "word");
    EXPECT_EQ(tokens(json, "words"), "<u>");
    EXPECT_EQ(tokens(R"({"type": "WordLevel", "vocab": {"word": 1}})", "words").substr(0, 11), "unsupported");
}

TEST(JsonModels, Refusals) {
    EXPECT_EQ(tokens(R"({"type": "Magic", "vocab": {"a": 0}})", "a").substr(0, 11), "unsupported");
    EXPECT_EQ(tokens(R"({"type": "BPE", "vocab": {"a": -1}, "merges": []})", "a").substr(0, 6), "format");
    EXPECT_EQ(tokens(R"({"type": "BPE", "vocab": {"a": 1.5}, "merges": []})", "a").substr(0, 6), "format");
    EXPECT_EQ(tokens(R"({"type": "BPE", "vocab": {"a": 2000000000}, "merges": []})", "a").substr(0, 11), "unsupported");
    EXPECT_EQ(tokens(R"({"type": "BPE", "merges": []})", "a").substr(0, 6), "format");
}

}  // namespace
}  // namespace tailor::text::tokenizer_json
