// Costs small enough to add by hand.
#include <gtest/gtest.h>

#include "core/error.h"
#include "text/tiny_vocabulary.h"

namespace tailor::text {
namespace {

using testing::TinyVocabulary;

TEST(Plamo2, TakesTheHighestSum) {
    TinyVocabulary v;
    v.add("<|plamo:unk|>", TokenType::unknown);
    v.add("<|plamo:bos|>", TokenType::control);
    v.add("<|plamo:eos|>", TokenType::control);
    for (int byte = 0; byte < 256; ++byte) v.add(core::format("<0x{:02X}>", byte), TokenType::byte);
    v.add("a", TokenType::normal, -2);
    v.add("b", TokenType::normal, -2);
    v.add("ab", TokenType::normal, -4);
    v.add("bb", TokenType::normal, -3);
    v.add(" a", TokenType::normal, -1);
    const auto m = testing::metadata(v, "plamo2");
    const auto t = make_tokenizer(m);
    EXPECT_EQ(t->encode("ab"), v.ids({"ab"})) << "of equal sums the one with the longest first token";
    EXPECT_EQ(t->encode("abb"), v.ids({"a", "bb"}));
    EXPECT_EQ(t->encode("a ab"), v.ids({"a", " a", "b"}));
    EXPECT_EQ(t->encode("é\xFF" "a"), v.ids({"<0xC3>", "<0xA9>", "<0xFF>", "a"}));
    EXPECT_EQ(t->encode("<|plamo:eos|>").size(), 13u) << "text cannot forge a control token";
    EXPECT_EQ(t->decode(t->encode("a é\xFF ab")), "a é\xFF ab");
    auto damaged = testing::metadata(v, "plamo2");
    damaged.set_reals("tokenizer.ggml.scores", std::vector<double>(v.tokens.size(), 1e9));
    EXPECT_THROW(make_tokenizer(damaged), core::Error);
}

}  // namespace
}  // namespace tailor::text
