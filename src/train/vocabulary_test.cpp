// Vocabularies that are trained: the program's own tokenizers read them and give the ids that SentencePiece gives.
#include "train/vocabulary.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "core/error.h"
#include "core/mapped_file.h"
#include "text/tokenizer.h"

namespace tailor::train {
namespace {

/// Sentences of a few hundred made-up words, some of which are common; the same ones for the same seed.
std::string made_up_text(int sentences, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::string> words;
    const char* const syllables[] = {"ta", "ri", "lo", "men", "sa", "qu", "\xC3\xA9l", "ston", "er", "ing", "w", "ba"};
    for (int i = 0; i < 300; ++i) {
        std::string word;
        for (unsigned s = 0; s < 1 + random() % 4; ++s) word += syllables[random() % 12];
        words.push_back(word);
    }
    std::string text;
    for (int i = 0; i < sentences; ++i) {
        for (unsigned w = 0; w < 4 + random() % 12; ++w) text += (w ? " " : "") + words[static_cast<std::size_t>(std::min(random() % 300, random() % 300))];
        text += i % 3 ? ".\n" : ", 1847!\n";
    }
    return text;
}

class Vocabularies : public ::testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        path_ = ::testing::TempDir() + "tailor_vocabulary_" + GetParam() + ".txt";
        core::write_text_file(path_, made_up_text(2000, 3));
    }
    void TearDown() override { std::remove(path_.c_str()); }
    std::string path_;
};

void expect_the_same_ids(const std::string& model, const text::Tokenizer& tokenizer, const std::string& text) {
    sentencepiece::SentencePieceProcessor oracle;
    ASSERT_TRUE(oracle.LoadFromSerializedProto(model).ok());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        std::vector<int> expected;
        ASSERT_TRUE(oracle.Encode(line, &expected).ok());
        EXPECT_EQ(expected, tokenizer.encode(line, {.add_special = false})) << line;
        EXPECT_EQ(line, tokenizer.decode(tokenizer.encode(line, {.add_special = false}))) << line;
        at = end + 1;
    }
}

TEST_P(Vocabularies, EncodeAsTheirTrainerDoes) {
    const std::string model = train_pieces({path_}, GetParam(), 450);
    const files::Metadata metadata = vocabulary_of_pieces(model, GetParam());
    EXPECT_EQ(450U, metadata.texts("tokenizer.ggml.tokens").size());
    const auto tokenizer = text::make_tokenizer(metadata);
    EXPECT_EQ(1, tokenizer->bos());
    EXPECT_EQ(2, tokenizer->eos());
    EXPECT_TRUE(tokenizer->adds_bos());
    // Also words and letters that were not there, and what only bytes can spell.
    expect_the_same_ids(model, *tokenizer, made_up_text(200, 9) + "Zounds! \xE2\x82\xAC 5,000 \xF0\x9F\x98\x80 tabs\tand  two spaces \n   three before\n\xC3\xA9\n");
}

TEST_P(Vocabularies, AreTheSameEveryTime) { EXPECT_EQ(train_pieces({path_}, GetParam(), 400), train_pieces({path_}, GetParam(), 400)); }

TEST_P(Vocabularies, AreRefusedWithTooLittleText) {
    core::write_text_file(path_, "a few words only\n");
    try {
        train_pieces({path_}, GetParam(), 4096);
        FAIL() << "4096 tokens of four words";
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::usage, error.kind());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("4096")) << error.what();
    }
    core::write_text_file(path_, "");
    EXPECT_THROW(train_pieces({path_}, GetParam(), 300), core::Error);
}

TEST_P(Vocabularies, EncodeRealTextAsTheirTrainerDoes) {
    const std::string real = std::string(TAILOR_SOURCE_DIR) + "/../shared/text/tinystories-sample.txt";
    if (!std::ifstream(real)) GTEST_SKIP() << real << " is not here";
    const std::string model = train_pieces({real}, GetParam(), 2048);
    const files::Metadata metadata = vocabulary_of_pieces(model, GetParam());
    expect_the_same_ids(model, *text::make_tokenizer(metadata), core::read_text_file(real).substr(0, 60000));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Vocabularies, ::testing::Values("bpe", "unigram"));

TEST(Vocabulary, OtherKindsAndFilesAreRefused) {
    EXPECT_THROW(train_pieces({"x"}, "word", 300), core::Error);
    EXPECT_THROW(vocabulary_of_pieces("no model", "bpe"), core::Error);
}

}  // namespace
}  // namespace tailor::train
