// Texts that are token ids.
#include <gtest/gtest.h>

#include "core/error.h"
#include "text/tokenizer.h"

namespace tailor::text {
namespace {

using Ids = std::vector<TokenId>;

TEST(None, TextsAreIds) {
    for (const char* name : {"none", "no_vocab"}) {
        files::Metadata m;
        m.set_text("tokenizer.ggml.model", name);
        m.set_text("general.architecture", "llama");
        m.set_integer("llama.vocab_size", 100);
        const auto t = make_tokenizer(m);
        EXPECT_EQ(t->size(), 100);
        EXPECT_EQ(t->encode("12  7 0 99 "), (Ids{12, 7, 0, 99}));
        EXPECT_EQ(t->encode(""), Ids{});
        EXPECT_EQ(t->decode(Ids{12, 7}), "12 7");
        EXPECT_EQ(t->piece(5), "5 ");
        for (const char* text : {"100", "-1", "word", "99999999999", "1,2"}) EXPECT_THROW(t->encode(text), core::Error) << text;
        EXPECT_THROW(t->piece(100), core::Error);
        EXPECT_THROW(t->decode(Ids{-1}), core::Error);
        EXPECT_EQ(t->bos(), -1);
    }
}

}  // namespace
}  // namespace tailor::text
