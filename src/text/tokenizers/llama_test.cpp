// SentencePiece BPE on a vocabulary small enough to merge by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "text/tiny_vocabulary.h"

namespace tailor::text {
namespace {

using testing::tiny_sentence_piece;
using testing::TinyVocabulary;
using Ids = std::vector<TokenId>;

TEST(Llama, MergesByScore) {
    const TinyVocabulary v = tiny_sentence_piece();
    const auto m = testing::metadata(v, "llama");
    const auto t = make_tokenizer(m);
    const EncodeOptions plain{.add_special = false};
    EXPECT_EQ(t->encode("hello", plain), v.ids({"▁", "hell", "o"})) << "ll, then he, then hell; hello is no token";
    EXPECT_EQ(t->encode("he", plain), v.ids({"▁he"}));
    EXPECT_EQ(t->encode("hlo", plain), v.ids({"▁", "h", "lo"}));
    EXPECT_EQ(t->encode(" he", plain), v.ids({"▁", "▁he"})) << "▁he scores above ▁▁";
    EXPECT_EQ(t->encode("   ", plain), v.ids({"▁▁", "▁▁"}));
    EXPECT_EQ(t->encode("", plain), Ids{});
    EXPECT_EQ(t->encode("he"), v.ids({"<s>", "▁he"}));
    EXPECT_EQ(t->encode(""), v.ids({"<s>"}));
    EXPECT_EQ(t->size(), static_cast<std::int64_t>(v.tokens.size()));
    EXPECT_TRUE(t->ends_generation(v.id("</s>")));
    EXPECT_FALSE(t->ends_generation(v.id("<s>")));
}

TEST(Llama, SpellsUnknownCharactersInBytes) {
    const TinyVocabulary v = tiny_sentence_piece();
    const auto m = testing::metadata(v, "llama");
    const auto t = make_tokenizer(m);
    const Ids ids = t->encode("é\xFFh", {.add_special = false});
    EXPECT_EQ(ids, v.ids({"▁", "<0xC3>", "<0xA9>", "<0xFF>", "h"}));
    EXPECT_EQ(t->decode(ids), "é\xFFh");
    EXPECT_EQ(t->piece(v.id("<0x0A>")), "\n");
    EXPECT_EQ(t->encode("<0x0A>", {.add_special = false}).size(), 7u) << "text that looks like a byte token is text";
}

TEST(Llama, WithoutByteTokensACharacterIsUnknown) {
    TinyVocabulary v;
    v.add("<unk>", TokenType::unknown);
    v.add("▁", TokenType::normal);
    v.add("a", TokenType::normal);
    auto m = testing::metadata(v, "llama");
    m.set_boolean("tokenizer.ggml.add_bos_token", false);
    EXPECT_EQ(make_tokenizer(m)->encode("a字a"), (Ids{1, 2, 0, 2}));
}

TEST(Llama, SpecialTokens) {
    const TinyVocabulary v = tiny_sentence_piece();
    const auto m = testing::metadata(v, "llama");
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("<s>he", {.add_special = false}), v.ids({"▁", "<s", ">", "he"})) << "text cannot forge a control token";
    EXPECT_EQ(t->encode("<s>he</s>", {.add_special = false, .parse_special = true}), v.ids({"<s>", "▁he", "</s>"}));
    EXPECT_EQ(t->encode("he<|user|>he", {.add_special = false}), v.ids({"▁he", "<|user|>", "▁he"}));
    const Ids ids = t->encode("he<|user|>");
    EXPECT_EQ(t->decode(ids), "he<|user|>");
    EXPECT_EQ(t->decode(ids, true), "<s>he<|user|>");
    EXPECT_EQ(t->piece(v.id("</s>")), "");
    EXPECT_EQ(t->piece(v.id("</s>"), true), "</s>");
    EXPECT_EQ(t->piece(v.id("▁he")), " he");
}

TEST(Llama, TheFileDecides) {
    const TinyVocabulary v = tiny_sentence_piece();
    auto m = testing::metadata(v, "llama");
    m.set_boolean("tokenizer.ggml.add_space_prefix", false);
    m.set_boolean("tokenizer.ggml.add_bos_token", false);
    m.set_boolean("tokenizer.ggml.add_eos_token", true);
    const auto t = make_tokenizer(m);
    EXPECT_FALSE(t->adds_bos());
    EXPECT_EQ(t->encode("he"), v.ids({"he", "</s>"}));
    EXPECT_EQ(t->encode(" he"), v.ids({"▁he", "</s>"}));
    EXPECT_EQ(t->decode(t->encode(" he")), " he");
}

TEST(Llama, MergesAcrossWordsWhereTokensDo) {
    TinyVocabulary v = tiny_sentence_piece();
    v.add("o▁", TokenType::normal, 5);
    const auto m = testing::metadata(v, "llama");
    EXPECT_EQ(make_tokenizer(m)->encode("o o", {.add_special = false}), v.ids({"▁", "o▁", "o"}));
}

TEST(Llama, MalformedFilesAreRefused) {
    const TinyVocabulary v = tiny_sentence_piece();
    const auto message = [&](const auto& change) -> std::string {
        auto m = testing::metadata(v, "llama");
        change(m);
        try {
            make_tokenizer(m);
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), core::ErrorKind::format) << error.what();
            return error.what();
        }
        return "accepted";
    };
    using M = files::Metadata;
    const auto names = [](const std::string& text, const char* key) { return text.find(key) != std::string::npos; };
    EXPECT_PRED2(names, message([](M& m) { m.set_texts("tokenizer.ggml.tokens", {}); }), "tokenizer.ggml.tokens");
    EXPECT_PRED2(names, message([](M& m) { m.set_integers("tokenizer.ggml.token_type", {1, 1}); }), "tokenizer.ggml.token_type");
    EXPECT_PRED2(names, message([](M& m) { m.set_reals("tokenizer.ggml.scores", {1, 2}); }), "tokenizer.ggml.scores");
    EXPECT_PRED2(names, message([&](M& m) { m.set_reals("tokenizer.ggml.scores", std::vector<double>(v.tokens.size(), NAN)); }),
                 "tokenizer.ggml.scores[0]");
    EXPECT_PRED2(names, message([](M& m) { m.set_integer("tokenizer.ggml.bos_token_id", 5000); }), "tokenizer.ggml.bos_token_id");
    EXPECT_PRED2(names, message([](M& m) { m.set_integer("tokenizer.ggml.eot_token_id", 5000); }), "tokenizer.ggml.eot_token_id");
    EXPECT_PRED2(names, message([&](M& m) {
                     std::vector<std::int64_t> types = v.types;
                     types.back() = 6;
                     m.set_integers("tokenizer.ggml.token_type", types);
                 }),
                 "tokenizer.ggml.token_type");
    EXPECT_PRED2(names, message([&](M& m) {
                     std::vector<std::int64_t> types = v.types;
                     types.back() = 9;
                     m.set_integers("tokenizer.ggml.token_type", types);
                 }),
                 "tokenizer.ggml.token_type");
    EXPECT_PRED2(names, message([](M& m) {
                     m.set_integer("tokenizer.ggml.bos_token_id", 4294967295);
                     m.set_boolean("tokenizer.ggml.add_bos_token", true);
                 }),
                 "tokenizer.ggml.bos_token_id");
    const auto m = testing::metadata(v, "llama");
    EXPECT_THROW(make_tokenizer(m)->piece(5000), core::Error);
    EXPECT_THROW(make_tokenizer(m)->decode(Ids{-1}), core::Error);
}

TEST(Llama, OtherKindsAreUnsupported) {
    const auto m = testing::metadata(tiny_sentence_piece(), "no-such-kind");
    try {
        make_tokenizer(m);
        FAIL();
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::unsupported);
        EXPECT_NE(std::string(error.what()).find("gpt2, llama"), std::string::npos) << error.what();
    }
}

TEST(Llama, SomeNamesEndAGenerationWhateverTheirType) {
    TinyVocabulary v = tiny_sentence_piece();
    v.add("<|im_end|>", TokenType::normal);
    v.add("<|end|>", TokenType::control);
    auto m = testing::metadata(v, "llama");
    EXPECT_TRUE(make_tokenizer(m)->ends_generation(v.id("<|im_end|>")));
    EXPECT_TRUE(make_tokenizer(m)->ends_generation(v.id("<|end|>")));
    EXPECT_EQ(make_tokenizer(m)->encode("<|im_end|>", {.add_special = false, .parse_special = true}), v.ids({"<|im_end|>"}));
    v.add("<|return|>", TokenType::control);
    v.add("<|call|>", TokenType::control);
    m = testing::metadata(v, "llama");
    EXPECT_TRUE(make_tokenizer(m)->ends_generation(v.id("<|return|>")));
    EXPECT_FALSE(make_tokenizer(m)->ends_generation(v.id("<|end|>"))) << "here it closes a message, not the turn";
}

TEST(Llama, AnHtmlTagEndsNothing) {
    TinyVocabulary v = tiny_sentence_piece();
    v.types[2] = static_cast<std::int64_t>(TokenType::user_defined);
    auto m = testing::metadata(v, "llama");
    m.set_integer("tokenizer.ggml.eos_token_id", 1);
    EXPECT_FALSE(make_tokenizer(m)->ends_generation(v.id("</s>")));
    EXPECT_EQ(make_tokenizer(m)->encode("</s>", {.add_special = false}), v.ids({"</s>"}));
}

TEST(Llama, PhiSwallowsWhiteSpaceAfterSpecialTokens) {
    const TinyVocabulary v = tiny_sentence_piece();
    auto m = testing::metadata(v, "llama");
    const EncodeOptions options{.add_special = false, .parse_special = true};
    EXPECT_EQ(make_tokenizer(m)->encode("</s>\n he", options), v.ids({"</s>", "▁", "<0x0A>", "▁he"}));
    m.set_text("general.name", "Phi-3 mini");
    EXPECT_EQ(make_tokenizer(m)->encode("</s>\n he", options), v.ids({"</s>", "▁he"}));
    EXPECT_EQ(make_tokenizer(m)->encode("<s>\nhe", options), v.ids({"<s>", "▁", "<0x0A>", "he"}));
}

}  // namespace
}  // namespace tailor::text
