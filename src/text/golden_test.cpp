// Tokenizers against recorded answers of an independent implementation, for real vocabularies and for the small ones of
// the reference models. Skipped where the reference data is missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "core/json.h"
#include "core/mapped_file.h"
#include "core/text.h"
#include "files/registry.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tailor::text {
namespace {

const std::filesystem::path golden = std::filesystem::path(TAILOR_SOURCE_DIR) / "../shared/golden";

/// A vocabulary and what keeps it alive.
struct Loaded {
    std::unique_ptr<files::File> file;
    files::Metadata metadata;
    std::unique_ptr<Tokenizer> tokenizer;
};

Loaded load(const std::filesystem::path& path, std::string_view pre = "") {
    Loaded loaded;
    loaded.file = files::open(path.string());
    loaded.metadata = loaded.file->metadata();
    if (!pre.empty()) loaded.metadata.set_text("tokenizer.ggml.pre", std::string(pre));
    loaded.tokenizer = make_tokenizer(loaded.metadata);
    return loaded;
}

std::vector<TokenId> ids(const core::Json& json) {
    std::vector<TokenId> result;
    for (const core::Json& id : json.items()) result.push_back(static_cast<TokenId>(id.integer()));
    return result;
}

/// The recorded texts of some vocabularies went through a clean-up that drops the space in " ?", " !", " ." and " ,".
/// Ours do not: decoding must give back what was encoded.
std::string without_spaces_before_marks(const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text[i] != ' ' || i + 1 == text.size() || std::string_view("?!.,").find(text[i + 1]) == std::string_view::npos)
            result += text[i];
    return result;
}

/// `lossless`: decoding gives back every text; otherwise what it gives was recorded.
void expect_texts(const Tokenizer& tokenizer, const std::filesystem::path& path, bool lossless = true) {
    const core::Json json = core::Json::parse(core::read_text_file(path.string()), path.string());
    EXPECT_EQ(tokenizer.bos(), json.at("bos").integer());
    EXPECT_EQ(tokenizer.eos(), json.at("eos").integer());
    EXPECT_EQ(tokenizer.adds_bos(), json.at("add_bos").integer() != 0);
    EXPECT_GE(json.at("texts").items().size(), 8u);
    for (const core::Json& entry : json.at("texts").items()) {
        const std::string& text = entry.at("text").string();
        const std::vector<TokenId> expected = ids(entry.at("ids"));
        EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), expected) << text;
        EXPECT_EQ(tokenizer.encode(text, {.parse_special = true}), ids(entry.at("ids_special"))) << text;
        if (!lossless) {
            EXPECT_EQ(tokenizer.decode(expected, true), entry.at("detok").string());
            continue;
        }
        EXPECT_EQ(tokenizer.decode(expected), text);
        EXPECT_EQ(without_spaces_before_marks(tokenizer.decode(expected)),
                  without_spaces_before_marks(entry.at("detok").string()));
    }
}

/// Texts separated by marker lines; the ids of each in one line.
void expect_pairs(const Tokenizer& tokenizer, const std::filesystem::path& path) {
    const std::string texts = core::read_text_file(path.string() + ".inp");
    const std::vector<std::string> lines = core::split(core::read_text_file(path.string() + ".out"), '\n');
    const std::string_view marker = "\n__ggml_vocab_test__\n";
    std::size_t at = 0, index = 0;
    while (at < texts.size()) {
        const std::size_t end = std::min(texts.find(marker, at), texts.size());
        const std::string text = texts.substr(at, end - at);
        ASSERT_LT(index, lines.size());
        std::vector<TokenId> expected;
        for (const std::string& number : core::split(lines[index++], ' '))
            if (!number.empty()) expected.push_back(std::stoi(number));
        EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), expected) << text;
        at = end + marker.size();
    }
    EXPECT_GE(index, 40u);
}

/// Random characters of every length in UTF-8, mixed with words, digits and white space.
std::string random_text(std::mt19937& random, std::size_t characters, bool valid) {
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    std::string text;
    for (std::size_t i = 0; i < characters; ++i) {
        switch (below(valid ? 6 : 7)) {
            case 0: text += static_cast<char>(' ' + below(95)); break;
            case 1: text += " \t\n\r "[below(5)]; break;
            case 2: append_utf8(text, 0x80 + below(0x780)); break;
            case 3: append_utf8(text, 0x800 + below(0xD000)); break;
            case 4: append_utf8(text, 0x10000 + below(0x20000)); break;
            case 5: text += (const char* const[]){"the", "'s", " and", "123", "'LL", "été"}[below(6)]; break;
            default: text += static_cast<char>(0x80 + below(0x80));
        }
    }
    return text;
}

struct Vocabulary {
    const char* name;
    const char* pre;  ///< set where the file has none
    bool any_bytes;   ///< has a token for every byte
    bool lossless = true;
};

class GoldenVocabulary : public testing::TestWithParam<Vocabulary> {
  protected:
    std::filesystem::path path() const {
        return golden / "tokenizers" / (std::string("ggml-vocab-") + GetParam().name + ".gguf");
    }
    void SetUp() override {
        if (!std::filesystem::exists(path())) GTEST_SKIP() << "no reference data at " << path();
    }
};

TEST_P(GoldenVocabulary, EncodesAsRecorded) {
    const Loaded loaded = load(path(), GetParam().pre);
    expect_texts(*loaded.tokenizer, golden / "tokenizers" / (std::string("ggml-vocab-") + GetParam().name + "_texts.json"),
                 GetParam().lossless);
    if (std::filesystem::exists(path().string() + ".inp")) expect_pairs(*loaded.tokenizer, path());
}

TEST_P(GoldenVocabulary, GivesBackRandomText) {
    if (!GetParam().lossless) return;
    const Loaded loaded = load(path(), GetParam().pre);
    std::mt19937 random(1);
    for (int i = 0; i < 10000; ++i) {
        std::string text = random_text(random, 12, !GetParam().any_bytes || i % 2 == 0);
        // SentencePiece cannot tell its own mark from a space.
        if (loaded.metadata.text("tokenizer.ggml.model") == "llama") text = unmarked(text);
        EXPECT_EQ(loaded.tokenizer->decode(loaded.tokenizer->encode(text, {.add_special = false})), text);
    }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenVocabulary,
                         testing::Values(Vocabulary{"llama-spm", "", true}, Vocabulary{"phi-3", "", true},
                                         Vocabulary{"baichuan", "", true}, Vocabulary{"gpt-2", "", true},
                                         Vocabulary{"llama-bpe", "", true}, Vocabulary{"deepseek-llm", "", false},
                                         Vocabulary{"gpt-neox", "", false}, Vocabulary{"refact", "", false},
                                         Vocabulary{"bert-bge", "", false, false}),
                         [](const auto& info) {
                             std::string name = info.param.name;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

/// All of them: a tokenizer that is refused, or answers that are missing, is a failure.
TEST(GoldenModels, EncodeAsRecorded) {
    if (!std::filesystem::exists(golden / "models")) GTEST_SKIP() << "no reference data at " << golden / "models";
    std::size_t models = 0, recorded = 0;
    for (const auto& entry : std::filesystem::directory_iterator(golden / "models")) {
        if (!std::filesystem::exists(entry.path() / "model.gguf")) continue;
        SCOPED_TRACE(entry.path().string());
        const Loaded loaded = load(entry.path() / "model.gguf");
        const std::string_view kind = loaded.metadata.text("tokenizer.ggml.model");
        ++models;
        EXPECT_EQ(loaded.tokenizer->decode(loaded.tokenizer->encode("")), "");
        if (!std::filesystem::exists(entry.path() / "texts.json")) continue;
        expect_texts(*loaded.tokenizer, entry.path() / "texts.json", kind == "llama" || kind == "gpt2");
        ++recorded;
    }
    EXPECT_GE(models, 70u);
    EXPECT_GE(recorded, 42u);
}

}  // namespace
}  // namespace tailor::text
