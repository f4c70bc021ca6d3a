// Byte-pair encoding on a vocabulary small enough to merge by hand, at the byte level and in characters.
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "text/tiny_vocabulary.h"

namespace tailor::text {
namespace {

using testing::byte_level_metadata;
using testing::tiny_byte_level;
using testing::TinyVocabulary;

TEST(Gpt2, MergesByRankWithinWords) {
    const TinyVocabulary v = tiny_byte_level();
    const auto m = byte_level_metadata(v, "gpt-2");
    const auto t = make_tokenizer(m);
    EXPECT_FALSE(t->adds_bos());
    EXPECT_EQ(t->encode("the the"), v.ids({"t", "he", "Ġthe"}));
    EXPECT_EQ(t->encode("é"), v.ids({"Ã©"}));
    EXPECT_EQ(t->encode("aaaaaaa"), v.ids({"aaaa", "aa", "a"})) << "the leftmost pair of a rank first";
    EXPECT_EQ(t->encode("xyz"), v.ids({"x", "y", "z"})) << "no merges reach it";
    EXPECT_EQ(t->decode(t->encode("the é\n\xFF the")), "the é\n\xFF the");
    EXPECT_EQ(t->piece(v.id("Ġthe")), " the");
    EXPECT_TRUE(t->ends_generation(v.id("<|endoftext|>")));
}

TEST(Gpt2, WholeWordsComeFirstWhereThePreTokenizerSaysSo) {
    const TinyVocabulary v = tiny_byte_level();
    const auto llama3 = byte_level_metadata(v, "llama-bpe");
    EXPECT_EQ(make_tokenizer(llama3)->encode("xyz the"), v.ids({"<|endoftext|>", "xyz", "Ġthe"})) << "and BOS is the default";
    auto without = byte_level_metadata(v, "llama-bpe");
    without.set_boolean("tokenizer.ggml.add_bos_token", false);
    EXPECT_EQ(make_tokenizer(without)->encode("xyz"), v.ids({"xyz"}));
    const auto dbrx = byte_level_metadata(v, "dbrx");
    EXPECT_EQ(make_tokenizer(dbrx)->encode("xyz"), v.ids({"x", "y", "z"}));
}

TEST(Gpt2, SpecialTokens) {
    const TinyVocabulary v = tiny_byte_level();
    const auto m = byte_level_metadata(v, "gpt-2");
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("<|user|> the", {.parse_special = false}), v.ids({"<|user|>", "Ġthe"}));
    EXPECT_EQ(t->encode(" the<|endoftext|>", {.parse_special = true}), v.ids({"Ġthe", "<|endoftext|>"}));
    EXPECT_EQ(t->encode(" the<|endoftext|>").size(), 14u) << "text cannot forge a control token";
    EXPECT_EQ(t->decode(t->encode("<|user|> the<|endoftext|>", {.parse_special = true})), "<|user|> the");
}

TEST(Gpt2, AnyBytesComeBack) {
    const TinyVocabulary v = tiny_byte_level();
    std::mt19937 random(5);
    for (const char* pre :
         {"gpt-2", "llama-bpe", "deepseek-llm", "tekken", "afmoe", "superbpe", "default", "bloom", "exaone-moe", "kimi-k2"}) {
        const auto m = byte_level_metadata(v, pre);
        const auto t = make_tokenizer(m);
        for (int round = 0; round < 100; ++round) {
            std::string text;
            const char* const parts[] = {"the", " ", "\n", "12345", "é", "字", "🙂", "'s", ".", "\xFF", "\xE5\xAD", "\x80"};
            for (int i = 0; i < 30; ++i)
                text += random() % 8 ? std::string(parts[random() % 12]) : std::string(1, static_cast<char>(random()));
            EXPECT_EQ(t->decode(t->encode(text, {.add_special = false})), text) << pre;
        }
    }
}

TEST(Gpt2, BytesWithoutATokenAreDropped) {
    TinyVocabulary v = tiny_byte_level();
    v.tokens[static_cast<std::size_t>(v.id("ÿ"))] = "not a byte";
    const auto m = byte_level_metadata(v, "gpt-2");
    EXPECT_EQ(make_tokenizer(m)->encode("a\xFF z"), v.ids({"a", "Ġ", "z"}));
}

TEST(Gpt2, CharactersInsteadOfBytes) {
    TinyVocabulary v;
    v.add("<bos>", TokenType::control);
    for (const char* piece : {"▁", "a", "b", "é", "a▁", "a▁b", "\n", "\n\n", "<0xE5>", "<0xAD>", "<0x97>"})
        v.add(piece, piece[0] == '<' ? TokenType::byte : TokenType::normal);
    v.merges = {"a ▁", "a▁ b"};
    auto m = testing::metadata(v, "gemma4");
    m.set_integer("tokenizer.ggml.bos_token_id", 0);
    m.set_boolean("tokenizer.ggml.add_bos_token", false);
    const auto t = make_tokenizer(m);
    EXPECT_TRUE(t->adds_bos()) << "whatever the file says";
    const auto ids = t->encode("a b\n\né字 a");
    EXPECT_EQ(ids, v.ids({"<bos>", "a▁b", "\n\n", "é", "<0xE5>", "<0xAD>", "<0x97>", "▁", "a"}));
    EXPECT_EQ(t->decode(ids), "a b\n\né字 a");
}

TEST(Gpt2, UnknownPreTokenizersAreRefused) {
    const TinyVocabulary v = tiny_byte_level();
    for (const char* pre : {"no-such-words", ""}) {
        auto m = testing::metadata(v, "gpt2");
        m.set_text("tokenizer.ggml.pre", pre);
        try {
            make_tokenizer(m);
            FAIL() << pre;
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), core::ErrorKind::unsupported);
            const std::string text = error.what();
            EXPECT_NE(text.find(pre), std::string::npos) << text;
            EXPECT_NE(text.find("tokenizer.ggml.pre"), std::string::npos) << text;
            EXPECT_NE(text.find("llama-bpe"), std::string::npos) << text;
        }
    }
}

TEST(Gpt2, AFileWithoutThePreKeyMeansDefault) {
    const TinyVocabulary v = tiny_byte_level();
    auto named = testing::metadata(v, "gpt2");
    const auto silent = make_tokenizer(testing::metadata(v, "gpt2"));
    named.set_text("tokenizer.ggml.pre", "default");
    const std::string text = "Well, 1234 words!  And more...";
    EXPECT_EQ(make_tokenizer(named)->encode(text), silent->encode(text));
}

TEST(Gpt2, MalformedMergesAreRefused) {
    const TinyVocabulary v = tiny_byte_level();
    for (const std::vector<std::string>& merges :
         std::vector<std::vector<std::string>>{{}, {"he"}, {"h "}, {"h e", "h nothing"}, {"nothing e"}, {"e h"}, {""}}) {
        auto m = byte_level_metadata(v, "gpt-2");
        m.set_texts("tokenizer.ggml.merges", merges);
        try {
            make_tokenizer(m);
            FAIL() << (merges.empty() ? "none" : merges.back());
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), core::ErrorKind::format);
            EXPECT_NE(std::string(error.what()).find("tokenizer.ggml.merges"), std::string::npos) << error.what();
        }
    }
}

}  // namespace
}  // namespace tailor::text
