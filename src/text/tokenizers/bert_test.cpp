// WordPiece from a GGUF vocabulary.
#include <gtest/gtest.h>

#include "core/error.h"
#include "text/tiny_vocabulary.h"

namespace tailor::text {
namespace {

using testing::TinyVocabulary;

TinyVocabulary vocabulary() {
    TinyVocabulary v;
    for (const char* name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) v.add(name, TokenType::control);
    for (const char* piece : {"▁un", "▁a", "able", "a", "▁!", "▁'", "▁[", "▁]", "▁cls", "▁Ä", "▁世"})
        v.add(piece, TokenType::normal);
    return v;
}

files::Metadata metadata(const TinyVocabulary& v) {
    files::Metadata m = testing::metadata(v, "bert");
    m.set_integer("tokenizer.ggml.unknown_token_id", 1);
    m.set_integer("tokenizer.ggml.cls_token_id", 2);
    m.set_integer("tokenizer.ggml.seperator_token_id", 3);
    return m;
}

TEST(Bert, WordsInLongestTokens) {
    const TinyVocabulary v = vocabulary();
    const auto m = metadata(v);
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("Unable a!"), v.ids({"[CLS]", "▁un", "able", "▁a", "▁!", "[SEP]"}));
    EXPECT_EQ(t->encode(""), v.ids({"[CLS]", "[SEP]"}));
    EXPECT_EQ(t->encode("able unx ä世", {.add_special = false}), v.ids({"[UNK]", "[UNK]", "▁a", "▁世"}));
    EXPECT_EQ(t->encode("[CLS]", {.add_special = false}), v.ids({"▁[", "▁cls", "▁]"})) << "text cannot forge a control token";
    EXPECT_EQ(t->encode("[CLS]a", {.add_special = false, .parse_special = true}), v.ids({"[CLS]", "▁a"}));
    EXPECT_EQ(t->decode(t->encode("unable a!")), " unable a!");
    EXPECT_EQ(t->decode(v.ids({"▁a", "▁'", "▁a"})), " a'a");
    EXPECT_EQ(t->bos(), v.id("[CLS]"));
    EXPECT_TRUE(t->adds_bos());
    EXPECT_EQ(t->encode("\xFF\xFE", {.add_special = false}), v.ids({})) << "bytes that are no text are cleaned away";
}

TEST(Bert, TheFileDecides) {
    const TinyVocabulary v = vocabulary();
    auto m = metadata(v);
    m.set_boolean("tokenizer.ggml.normalizer.lowercase", false);
    EXPECT_EQ(make_tokenizer(m)->encode("Ä", {.add_special = false}), v.ids({"▁Ä"})) << "accents stay where case does";
    m.set_boolean("tokenizer.ggml.normalizer.lowercase", true);
    m.set_boolean("tokenizer.ggml.normalizer.strip_accents", false);
    EXPECT_EQ(make_tokenizer(m)->encode("Ä", {.add_special = false}), v.ids({"[UNK]"}));
    m.set_boolean("tokenizer.ggml.add_eos_token", true);
    EXPECT_EQ(make_tokenizer(m)->encode("a"), v.ids({"[CLS]", "▁a", "[SEP]"})) << "the frame is [CLS] and [SEP], whatever else is said";
    m.set_boolean("tokenizer.ggml.add_sep_token", false);
    m.set_boolean("tokenizer.ggml.add_bos_token", false);
    EXPECT_EQ(make_tokenizer(m)->encode("a"), v.ids({"▁a"}));
    m.set_integer("tokenizer.ggml.seperator_token_id", 500);
    m.set_boolean("tokenizer.ggml.add_sep_token", true);
    EXPECT_THROW(make_tokenizer(m), core::Error);
}

}  // namespace
}  // namespace tailor::text
