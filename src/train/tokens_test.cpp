// Tokens in files: what is written is read, what is damaged is made anew, and a text is tokenized once.
#include "train/tokens.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "train/token_windows.h"

namespace tailor::train {
namespace {

/// Every byte is a token.
class Bytes : public text::Tokenizer {
  public:
    Bytes() { size_ = 257, eos_ = 256; }
    std::vector<text::TokenId> encode(std::string_view text, text::EncodeOptions) const override {
        ++encoded;
        std::vector<text::TokenId> ids;
        for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
        return ids;
    }
    std::string piece(text::TokenId, bool) const override { return {}; }
    std::string decode(std::span<const text::TokenId>, bool) const override { return {}; }
    mutable int encoded = 0;
};

class TokenFiles : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "tailor_tokens_" + std::to_string(::getpid());
        std::filesystem::create_directories(folder_ + "/texts/more");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string write(const std::string& name, const std::string& text) const {
        core::write_text_file(folder_ + "/" + name, text);
        return folder_ + "/" + name;
    }
    static std::vector<std::int32_t> all(const Tokens& tokens) {
        std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens.count()));
        tokens.read(0, tokens.count(), ids.data());
        return ids;
    }
    std::string folder_;
};

TEST_F(TokenFiles, GiveWhatWasWritten) {
    for (const std::vector<text::TokenId>& ids : {std::vector<text::TokenId>{1, 2, 65535}, {1, 65536, 7, 99999}, {}}) {
        const std::string path = folder_ + "/x.tokens";
        write_tokens(path, ids, 77);
        const MappedTokens mapped(path);
        EXPECT_EQ(ids, all(mapped));
        EXPECT_EQ(77U, mapped.source());
        EXPECT_EQ(ListedTokens(ids).identity(), mapped.identity());
    }
    write_tokens(folder_ + "/y.tokens", {5, 6, 7, 8}, 1);
    std::int32_t middle[2] = {};
    MappedTokens(folder_ + "/y.tokens").read(1, 2, middle);
    EXPECT_EQ(6, middle[0]);
    EXPECT_EQ(7, middle[1]);
}

TEST_F(TokenFiles, DamagedOnesAreRefused) {
    const std::string path = folder_ + "/x.tokens";
    write_tokens(path, {1, 2, 3}, 77);
    for (const std::uintmax_t bytes : {std::uintmax_t{0}, std::uintmax_t{39}, std::uintmax_t{44}}) {
        write_tokens(path, {1, 2, 3}, 77);
        std::filesystem::resize_file(path, bytes);
        EXPECT_THROW(MappedTokens{path}, core::Error) << bytes;
    }
    write("x.tokens", std::string(60, 'x'));
    EXPECT_THROW(MappedTokens{path}, core::Error);
}

TEST_F(TokenFiles, FoldersStandForTheirTexts) {
    const std::string b = write("texts/b.txt", "b"), a = write("texts/a.md", "a"), c = write("texts/more/c.text", "c");
    write("texts/picture.png", "p");
    EXPECT_EQ((std::vector<std::string>{a, b, c}), text_files({folder_ + "/texts"}));
    EXPECT_EQ((std::vector<std::string>{b, "-"}), text_files({b, "-"}));
    EXPECT_THROW(text_files({folder_ + "/nowhere"}), core::Error);
    std::filesystem::create_directories(folder_ + "/empty");
    EXPECT_THROW(text_files({folder_ + "/empty"}), core::Error);
}

TEST_F(TokenFiles, ATextIsTokenizedOnce) {
    const Bytes tokenizer;
    files::Metadata metadata;
    metadata.set_text("tokenizer.ggml.model", "bytes");
    const std::string a = write("a.txt", "one"), b = write("b.txt", "two"), cache = folder_ + "/cache";
    const auto first = tokens_of({a, b}, tokenizer, metadata, cache);
    EXPECT_EQ((std::vector<std::int32_t>{'o', 'n', 'e', 256, 't', 'w', 'o'}), all(*first));
    EXPECT_EQ(2, tokenizer.encoded);
    EXPECT_EQ(all(*first), all(*tokens_of({a, b}, tokenizer, metadata, cache)));
    EXPECT_EQ(2, tokenizer.encoded) << "the second time the tokens are there";
    // Another text, another order or another vocabulary is another file.
    tokens_of({b, a}, tokenizer, metadata, cache);
    EXPECT_EQ(4, tokenizer.encoded);
    write("a.txt", "One");
    EXPECT_EQ('O', all(*tokens_of({a, b}, tokenizer, metadata, cache))[0]);
    metadata.set_text("tokenizer.ggml.model", "other");
    tokens_of({a, b}, tokenizer, metadata, cache);
    EXPECT_EQ(8, tokenizer.encoded);
    // One that was cut short is made anew.
    for (const auto& file : std::filesystem::directory_iterator(cache)) std::filesystem::resize_file(file, 41);
    EXPECT_EQ('O', all(*tokens_of({a, b}, tokenizer, metadata, cache))[0]);
    EXPECT_EQ(10, tokenizer.encoded);
    // Without a cache, and where it cannot be, in memory.
    EXPECT_EQ(7, tokens_of({a, b}, tokenizer, metadata, "")->count());
    EXPECT_EQ(7, tokens_of({a, b}, tokenizer, metadata, a + "/cannot")->count());
    EXPECT_THROW(tokens_of({write("zero.txt", std::string("a\0b", 3))}, tokenizer, metadata, cache), core::Error);
}

TEST_F(TokenFiles, WindowsAreTheSameFromMemoryAndFromAFile) {
    std::vector<text::TokenId> ids(103);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<text::TokenId>(i);
    write_tokens(folder_ + "/w.tokens", ids, 1);
    TokenWindows listed(ids, 5, 3), mapped(std::make_shared<MappedTokens>(folder_ + "/w.tokens"), 5, 3);
    EXPECT_EQ(listed.identity(), mapped.identity());
    for (int i = 0; i < 50; ++i) {
        std::vector<std::int32_t> a, b, a_next, b_next;
        listed.next(a, a_next), mapped.next(b, b_next);
        EXPECT_EQ(a, b);
        EXPECT_EQ(a_next, b_next);
    }
}

TEST(HeldOut, WindowsAreEvenlySpreadAndNeverLearned) {
    for (const auto& [windows, share] : {std::pair{10, 0.1}, {1000, 0.01}, {1000, 0.1}, {333, 0.5}, {7, 0.01}, {64, 0.98}}) {
        const std::vector<text::TokenId> ids(static_cast<std::size_t>(windows * 4 + 1));
        auto numbered = ids;
        for (std::size_t i = 0; i < numbered.size(); ++i) numbered[i] = static_cast<text::TokenId>(i);
        const auto tokens = std::make_shared<ListedTokens>(numbered);
        TokenWindows learned(tokens, 4, 1, TokenWindows::Part::learned, share), held(tokens, 4, 1, TokenWindows::Part::held_out, share);
        EXPECT_EQ(windows, learned.count() + held.count());
        EXPECT_NEAR(std::max(1.0, share * windows), static_cast<double>(held.count()), 0.51) << windows << " " << share;
        std::vector<int> seen(static_cast<std::size_t>(windows));
        std::vector<std::int32_t> begins, next;
        for (std::int64_t i = 0; i < learned.count(); ++i) learned.next(begins, next);
        for (std::int64_t i = 0; i < held.count(); ++i) held.next(begins, next);
        for (std::size_t i = 0; i < begins.size(); i += 4) ++seen[static_cast<std::size_t>(begins[i] / 4)];
        EXPECT_EQ(std::vector<int>(static_cast<std::size_t>(windows), 1), seen);
    }
    const auto tokens = std::make_shared<ListedTokens>(std::vector<text::TokenId>(9));
    EXPECT_THROW(TokenWindows(tokens, 4, 1, TokenWindows::Part::learned, 0.9), core::Error) << "nothing is left to learn";
    EXPECT_THROW(TokenWindows(tokens, 4, 1, TokenWindows::Part::learned, 1), core::Error);
    EXPECT_THROW(TokenWindows(tokens, 4, 1, TokenWindows::Part::learned, -0.1), core::Error);
}

}  // namespace
}  // namespace tailor::train
