// Vocabularies written with GGUF's keys give the tokens that tokenizer.json gives; what cannot be written so is refused.
#include "text/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "text/tiny_vocabulary.h"
#include "text/tokenizer.h"

namespace tailor::text {
namespace {

using core::Json;

files::Metadata holding(const std::string& tokenizer_json) {
    files::Metadata m;
    m.set_text("tokenizer.huggingface.json", tokenizer_json);
    return m;
}

std::string error_of(const files::Metadata& m) {
    try {
        gguf_vocabulary(m);
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no error";
}

/// A byte-level tokenizer.json of the tiny vocabulary that cuts words by `expression`.
Json byte_level_json(const std::string& expression) {
    const testing::TinyVocabulary v = testing::tiny_byte_level();
    Json vocabulary{Json::Object{}}, merges{Json::Array{}}, added{Json::Array{}};
    for (std::size_t i = 0; i < v.tokens.size(); ++i) {
        const auto id = static_cast<std::int64_t>(i);
        if (v.types[i] == static_cast<std::int64_t>(TokenType::control))
            added.add(Json().set("id", id).set("content", v.tokens[i]).set("special", true).set("normalized", false));
        else vocabulary.set(v.tokens[i], id);
    }
    for (const std::string& merge : v.merges) merges.add(merge);
    const Json byte_level = Json().set("type", "ByteLevel").set("add_prefix_space", false).set("trim_offsets", false).set("use_regex", false);
    const Json split = Json().set("type", "Split").set("pattern", Json().set("Regex", expression)).set("behavior", "Isolated").set("invert", false);
    Json cut = Json().set("type", "Sequence").set("pretokenizers", Json::Array{split, byte_level});
    Json model = Json().set("type", "BPE").set("vocab", std::move(vocabulary)).set("merges", std::move(merges));
    return Json().set("added_tokens", std::move(added)).set("pre_tokenizer", std::move(cut)).set("decoder", byte_level).set("model", std::move(model));
}

constexpr std::string_view qwen_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

TEST(GgufVocabulary, ByteLevelGivesTheSameTokens) {
    const files::Metadata source = holding(byte_level_json(std::string(qwen_words)).text(-1));
    const files::Metadata keys = gguf_vocabulary(source);
    EXPECT_EQ(keys.text("tokenizer.ggml.model"), "gpt2");
    const auto from_keys = make_tokenizer(keys), original = make_tokenizer(source);
    for (const char* text : {"the other the  the", "xyz", "12 the 345", "The <|endoftext|> the", "\xF0\x9F\x98\x80"})
        for (const bool special : {true, false}) {
            EXPECT_EQ(from_keys->encode(text, {.parse_special = special}), original->encode(text, {.parse_special = special})) << text;
            EXPECT_EQ(from_keys->decode(original->encode(text)), original->decode(original->encode(text))) << text;
        }
}

TEST(GgufVocabulary, WhatCannotBeWrittenIsRefused) {
    // Every letter a word of its own: no pre-tokenizer that GGUF names does that, and merges then never happen.
    EXPECT_NE(error_of(holding(byte_level_json("[a-z]").text(-1))).find("no tokenizer that GGUF knows gives the same tokens"), std::string::npos);
    const Json words = Json().set("model", Json().set("type", "WordLevel").set("vocab", Json().set("a", 0)).set("unk_token", "a"));
    EXPECT_NE(error_of(holding(words.text(-1))).find("a model of type WordLevel"), std::string::npos);
}

TEST(GgufVocabulary, ReferenceTokenizers) {
    namespace fs = std::filesystem;
    const fs::path golden = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared" / "golden" / "models";
    int checked = 0;
    for (const std::string name : {"llama", "qwen2"}) {
        const fs::path path = golden / (name + "-safetensors") / "tokenizer.json";
        if (!fs::exists(path)) continue;
        const files::Metadata keys = gguf_vocabulary(holding(core::read_text_file(path.string())));
        EXPECT_EQ(keys.text("tokenizer.ggml.model"), name == "llama" ? "llama" : "gpt2");
        EXPECT_EQ(keys.text("tokenizer.ggml.pre", "none"), name == "llama" ? "none" : "qwen2");
        const auto tokenizer = make_tokenizer(keys);
        const fs::path texts = golden / name / "texts.json";
        const Json json = Json::parse(core::read_text_file(texts.string()), texts.string());
        for (const Json& item : json.at("texts").items()) {
            std::vector<TokenId> expected;
            for (const Json& id : item.at("ids_special").items()) expected.push_back(static_cast<TokenId>(id.integer()));
            EXPECT_EQ(tokenizer->encode(item.at("text").string(), {.parse_special = true}), expected) << name << ": " << item.at("text").string();
        }
        ++checked;
    }
    if (checked == 0) GTEST_SKIP() << "no reference tokenizers at " << golden;
}

}  // namespace
}  // namespace tailor::text
