// The longest match, and the escapes in which the vocabulary is written.
#include <gtest/gtest.h>

#include "core/text.h"
#include "text/tiny_vocabulary.h"

namespace tailor::text {
namespace {

using testing::TinyVocabulary;

TEST(Rwkv, LongestTokenFromTheLeft) {
    TinyVocabulary v;
    v.add("<s>", TokenType::control);
    for (int byte = 0; byte < 256; ++byte) v.add(core::format("\\x{:02x}", byte), TokenType::normal);
    for (const char* token : {"th", "the", "ere", "\\n\\n", "\\t\\'\\\\", "字", "\\xe5\\xae", "\\x4"}) v.add(token, TokenType::normal);
    auto m = testing::metadata(v, "rwkv");
    m.set_integer("tokenizer.ggml.bos_token_id", 0);
    m.set_integer("tokenizer.ggml.eos_token_id", 0);
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("there"), v.ids({"the", "\\x72", "\\x65"})) << "greedy: th|ere would be shorter";
    EXPECT_EQ(t->encode("\n\n\n"), v.ids({"\\n\\n", "\\x0a"}));
    EXPECT_EQ(t->encode("\t'\\x"), v.ids({"\\t\\'\\\\", "\\x78"}));
    EXPECT_EQ(t->encode("字宀"), v.ids({"字", "\\xe5\\xae", "\\x80"})) << "half a character may be a token";
    EXPECT_EQ(t->encode("x4"), v.ids({"\\x4"})) << "an escape that is cut off stands for itself";
    EXPECT_EQ(t->decode(t->encode("the 字\xFF\n\n")), "the 字\xFF\n\n");
    EXPECT_EQ(t->encode("a<s>"), v.ids({"\\x61", "<s>"})) << "control tokens take part";
    EXPECT_FALSE(t->adds_bos());
}

TEST(Rwkv, WhatHasNoTokenIsDroppedOrUnknown) {
    TinyVocabulary v;
    v.add("a", TokenType::normal);
    v.add("<unk>", TokenType::unknown);
    auto m = testing::metadata(v, "rwkv");
    EXPECT_EQ(make_tokenizer(m)->encode("aba"), v.ids({"a", "a"}));
    m.set_integer("tokenizer.ggml.unknown_token_id", 1);
    EXPECT_EQ(make_tokenizer(m)->encode("aba"), v.ids({"a", "<unk>", "a"}));
}

}  // namespace
}  // namespace tailor::text
