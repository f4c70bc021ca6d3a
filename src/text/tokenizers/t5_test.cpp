// SentencePiece Unigram on vocabularies small enough to add scores by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "text/tiny_map.h"
#include "text/tiny_vocabulary.h"

namespace tailor::text {
namespace {

using testing::TinyVocabulary;

TinyVocabulary vocabulary(bool with_bytes = false) {
    TinyVocabulary v;
    v.add("<pad>", TokenType::control);
    v.add("</s>", TokenType::control);
    v.add("<unk>", TokenType::unknown);
    v.add("<extra>", TokenType::user_defined);
    double score = -1;
    for (const char* piece : {"▁", "▁the", "he", "t", "h", "e", "▁t", "▁▁"}) v.add(piece, TokenType::normal, score--);
    for (int byte = 0; byte < 256 && with_bytes; ++byte) v.add(core::format("<0x{:02X}>", byte), TokenType::byte);
    return v;
}

files::Metadata metadata(const TinyVocabulary& v, bool prefix = true, bool merges = true) {
    files::Metadata m = testing::metadata(v, "t5");
    m.set_boolean("tokenizer.ggml.add_space_prefix", prefix);
    m.set_boolean("tokenizer.ggml.remove_extra_whitespaces", merges);
    return m;
}

TEST(T5, TakesTheMostProbable) {
    const TinyVocabulary v = vocabulary();
    const auto m = metadata(v);
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("the"), v.ids({"▁the", "</s>"})) << "-2 beats -1 -4 -3; EOS is the default";
    EXPECT_EQ(t->encode("  the   he  ", {.add_special = false}), v.ids({"▁the", "▁", "he"}));
    EXPECT_EQ(t->encode("xyzé", {.add_special = false}), v.ids({"▁", "<unk>"})) << "one for the run";
    EXPECT_EQ(t->encode("the<extra>the", {.add_special = false}), v.ids({"▁the", "<extra>", "▁the"}));
    EXPECT_EQ(t->encode("</s>", {.add_special = false, .parse_special = true}), v.ids({"</s>"}));
    EXPECT_EQ(t->encode("   ", {.add_special = false}), v.ids({}));
    EXPECT_EQ(t->decode(v.ids({"▁the", "▁", "he", "<unk>"})), "the he");
    EXPECT_EQ(t->decode(v.ids({"▁the", "<unk>"}), true), "the<unk>");
    EXPECT_FALSE(t->adds_bos());
    EXPECT_EQ(t->bos(), -1);
}

TEST(T5, TheFileDecidesAboutSpaces) {
    const TinyVocabulary v = vocabulary();
    const EncodeOptions plain{.add_special = false};
    const auto none = metadata(v, false, false);
    EXPECT_EQ(make_tokenizer(none)->encode("he", plain), v.ids({"he"}));
    EXPECT_EQ(make_tokenizer(none)->encode(" the  ", plain), v.ids({"▁the", "▁", "▁"})) << "two at -1 are more than one at -8";
    const auto prefix = metadata(v, true, false);
    EXPECT_EQ(make_tokenizer(prefix)->encode(" he", plain), v.ids({"▁", "▁", "he"}));
    auto silent = testing::metadata(v, "t5");
    EXPECT_EQ(make_tokenizer(silent)->encode(" the", plain), v.ids({"▁the"})) << "neither is the default";
}

TEST(T5, RewritesByTheTableOfTheFile) {
    const TinyVocabulary v = vocabulary();
    auto m = metadata(v);
    const std::string table = testing::compiled_map({{"\xC2\xA0", " "}, {"T", "t"}, {"TH", "th"}, {"\x01", ""}});
    std::vector<std::int64_t> bytes;
    for (const char c : table) bytes.push_back(static_cast<unsigned char>(c));
    m.set_integers("tokenizer.ggml.precompiled_charsmap", bytes, files::MetaType::u8);
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("THe\x01\xC2\xA0" "Te", {.add_special = false}), v.ids({"▁the", "▁", "t", "e"}));
    m.set_integers("tokenizer.ggml.precompiled_charsmap", {1, 2, 3}, files::MetaType::u8);
    EXPECT_THROW(make_tokenizer(m), core::Error);
}

TEST(T5, SpellsUnknownCharactersInBytesWhereItCan) {
    const TinyVocabulary v = vocabulary(true);
    const auto m = metadata(v);
    const auto ids = make_tokenizer(m)->encode("té", {.add_special = false});
    EXPECT_EQ(ids, v.ids({"▁", "t", "<0xC3>", "<0xA9>"}));
    EXPECT_EQ(make_tokenizer(m)->decode(ids), "té");
}

TEST(T5, MalformedFilesAreRefused) {
    const TinyVocabulary v = vocabulary();
    auto m = metadata(v);
    m.set_reals("tokenizer.ggml.scores", {1});
    EXPECT_THROW(make_tokenizer(m), core::Error);
    m.set_reals("tokenizer.ggml.scores", std::vector<double>(v.tokens.size(), INFINITY));
    EXPECT_THROW(make_tokenizer(m), core::Error);
}

}  // namespace
}  // namespace tailor::text
