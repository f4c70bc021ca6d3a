// Every type of decoder, for whole texts and for single tokens in the middle of one.
#include "text/tokenizer_json/decoders.h"

#include <gtest/gtest.h>

namespace tailor::text::tokenizer_json {
namespace {

std::string joined(const std::string& json, const std::vector<std::string>& tokens, bool whole) {
    const core::Json parsed = core::Json::parse(json);
    Decoding decoding;
    decoding.begins = decoding.ends = whole;
    for (const std::string& token : tokens) decoding.parts.push_back({token, token.substr(0, 2) == "<|"});
    make_decoder(Element(parsed, "file: decoder"))(decoding);
    decoding.fuse();
    return decoding.parts[0].text;
}
std::string whole(const std::string& json, const std::vector<std::string>& tokens) { return joined(json, tokens, true); }
std::string inside(const std::string& json, const std::string& token) { return joined(json, {token}, false); }

TEST(Decoders, ForEveryType) {
    EXPECT_EQ(whole("null", {"a", "b"}), "a b");
    EXPECT_EQ(inside("null", "a"), " a");
    EXPECT_EQ(whole(R"({"type": "Fuse"})", {"a", "b"}), "ab");
    EXPECT_EQ(whole(R"({"type": "ByteLevel"})", {"Ġa", "Ã", "©", "<|é Ġ|>", "字"}), " aé<|é Ġ|>字") << "what is no byte is text";
    EXPECT_EQ(whole(R"({"type": "ByteFallback"})", {"a", "<0xC3>", "<0xA9>", "<0xFF>", "<0xG0>"}), "aé\xFF<0xG0>");
    EXPECT_EQ(whole(R"({"type": "Replace", "pattern": {"String": "▁"}, "content": " "})", {"▁a", "▁"}), " a ");
    EXPECT_EQ(whole(R"({"type": "Strip", "content": "x", "start": 2, "stop": 1})", {"xxxaxx", "xa", "x"}), "xaxa");
    EXPECT_EQ(whole(R"({"type": "BPEDecoder", "suffix": "</w>"})", {"a", "b</w>", "c</w>"}), "ab c");
    EXPECT_EQ(inside(R"({"type": "BPEDecoder"})", "b</w>"), "b ");
    const std::string metaspace = R"({"type": "Metaspace", "replacement": "▁")";
    EXPECT_EQ(whole(metaspace + "}", {"▁a", "▁b"}), "a b");
    EXPECT_EQ(whole(metaspace + R"(, "prepend_scheme": "never"})", {"▁a", "▁b"}), " a b");
    EXPECT_EQ(inside(metaspace + "}", "▁a"), " a");
    const std::string word_piece = R"({"type": "WordPiece", "prefix": "##")";
    EXPECT_EQ(whole(word_piece + "}", {"a", "##b", "c", ".", "do", "n't"}), "ab c. don't");
    EXPECT_EQ(whole(word_piece + R"(, "cleanup": false})", {"a", "."}), "a .");
    EXPECT_EQ(inside(word_piece + "}", "a"), " a");
    EXPECT_EQ(inside(word_piece + "}", "##a"), "a");
    EXPECT_THROW(whole(R"({"type": "CTC"})", {"a"}), core::Error);
}

TEST(Decoders, WhatStripsTheTextLeavesTokensInTheMiddle) {
    const std::string llama = R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";
    EXPECT_EQ(whole(llama, {"▁", "▁a", "▁b", "<0x0A>"}), " a b\n");
    EXPECT_EQ(inside(llama, "▁b"), " b");
    EXPECT_EQ(inside(llama, "<0xC3>"), "\xC3");
}

}  // namespace
}  // namespace tailor::text::tokenizer_json
