// Whole tokenizer.json files: small ones of every kind, and the reference models' where they are present.
#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"

namespace tailor::text {
namespace {

using Ids = std::vector<TokenId>;

const char* const word_piece = R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 0, "content": "[UNK]", "special": true}, {"id": 1, "content": "[CLS]", "special": true},
                     {"id": 2, "content": "[SEP]", "special": true}, {"id": 9, "content": "Brand", "special": false, "normalized": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
              "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "un": 3, "##able": 4, ".": 5, "[": 6, "]": 7, "cls": 8}}})";

TEST(TokenizerJson, WordPiece) {
    const auto t = make_tokenizer_json(word_piece, "test");
    EXPECT_EQ(t->size(), 10);
    EXPECT_EQ(t->encode("Unable ."), (Ids{1, 3, 4, 5, 2}));
    EXPECT_EQ(t->encode("[CLS]", {.add_special = false}), (Ids{6, 8, 7})) << "text cannot forge a special token";
    EXPECT_EQ(t->encode("[CLS]un", {.add_special = false, .parse_special = true}), (Ids{1, 3}));
    EXPECT_EQ(t->encode("un BRAND", {.add_special = false}), (Ids{3, 9})) << "found in its normalized form";
    EXPECT_EQ(t->encode("un\xFF.", {.add_special = false}), (Ids{3, 5})) << "U+FFFD is cleaned away";
    EXPECT_EQ(t->decode(Ids{1, 3, 4, 5, 2}), "unable.");
    EXPECT_EQ(t->decode(Ids{1, 3}, true), "[CLS] un");
    EXPECT_EQ(t->piece(3), " un");
    EXPECT_EQ(t->piece(4), "able");
    EXPECT_EQ(t->piece(1), "");
    EXPECT_EQ(t->piece(1, true), " [CLS]");
    EXPECT_EQ(t->bos(), 1);
    EXPECT_EQ(t->eos(), 2);
    EXPECT_TRUE(t->adds_bos());
    EXPECT_TRUE(t->ends_generation(2));
    EXPECT_THROW(t->piece(10), core::Error);
    EXPECT_THROW(t->decode(Ids{-1}), core::Error);
}

const char* const byte_level = R"({
    "added_tokens": [{"id": 7, "content": "<|end|>", "special": true}, {"id": 8, "content": "<|é|>", "special": false}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "Ã": 3, "©": 4, "ab": 5, "Ġab": 6}, "merges": ["a b", "Ġ ab"]}})";

TEST(TokenizerJson, ByteLevel) {
    const auto t = make_tokenizer_json(byte_level, "test", {R"({"eos_token": {"content": "<|end|>"}, "bos_token": null})",
                                                            R"({"eos_token_id": [7, 1]})"});
    EXPECT_EQ(t->encode("ab abé<|é|>a"), (Ids{5, 6, 3, 4, 8, 0}));
    EXPECT_EQ(t->decode(t->encode("ab abé<|é|>a")), "ab abé<|é|>a");
    EXPECT_EQ(t->piece(3), "\xC3");
    EXPECT_EQ(t->piece(8), "<|é|>");
    EXPECT_EQ(t->eos(), 7);
    EXPECT_EQ(t->bos(), -1);
    EXPECT_FALSE(t->adds_bos());
    EXPECT_TRUE(t->ends_generation(7));
    EXPECT_TRUE(t->ends_generation(1)) << "generation_config.json says so";
    EXPECT_FALSE(t->ends_generation(0));
    EXPECT_EQ(t->decode(Ids{0, 7}), "a");
    EXPECT_EQ(t->decode(Ids{0, 7}, true), "a<|end|>");
    EXPECT_EQ(t->encode(""), Ids{});
    EXPECT_EQ(t->decode(Ids{}), "");
}

TEST(TokenizerJson, FramesInsideFrames) {
    core::Json root = core::Json::parse(byte_level);
    root.set("post_processor", core::Json::parse(R"({"type": "Sequence", "processors": [
        {"type": "RobertaProcessing", "sep": ["b", 1], "cls": ["a", 0], "trim_offsets": true, "add_prefix_space": false},
        {"type": "ByteLevel", "trim_offsets": true},
        {"type": "BertProcessing", "sep": ["Ã", 3], "cls": ["©", 4]}]})"));
    EXPECT_EQ(make_tokenizer_json(root.text(), "test")->encode("ab"), (Ids{4, 0, 5, 1, 3}));
}

TEST(TokenizerJson, AnAddedTokenOfTheModelKeepsItsId) {
    core::Json root = core::Json::parse(byte_level);
    root.set("added_tokens", core::Json::parse(R"([{"id": 70, "content": "ab", "special": true, "lstrip": true}])"));
    const auto t = make_tokenizer_json(root.text(), "test");
    EXPECT_EQ(t->size(), 7);
    EXPECT_EQ(t->encode("a ab", {.parse_special = true}), (Ids{0, 5}));
}

TEST(TokenizerJson, FirstWordsAreThoseOfTheText) {
    const char* const json = R"({
        "added_tokens": [{"id": 5, "content": "<x>", "special": false, "normalized": false}],
        "normalizer": {"type": "Strip", "strip_left": true, "strip_right": false},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["▁a", -1], ["a", -1], ["▁", -1], ["b", -1]]}})";
    const auto t = make_tokenizer_json(json, "test");
    EXPECT_EQ(t->encode("a a"), (Ids{1, 1}));
    EXPECT_EQ(t->encode("a<x>a"), (Ids{1, 5, 2})) << "what follows a token is not first";
    EXPECT_EQ(t->encode(" a"), (Ids{2})) << "nor is what was stripped";
    EXPECT_EQ(t->decode(Ids{1, 1}), "a a");
}

TEST(TokenizerJson, Refusals) {
    const auto message = [](const std::string& key, const std::string& value, core::ErrorKind kind) -> std::string {
        core::Json root = core::Json::parse(byte_level);
        root.set(key, core::Json::parse(value));
        try {
            make_tokenizer_json(root.text(), "x/tokenizer.json");
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), kind) << error.what();
            EXPECT_EQ(std::string(error.what()).find("x/tokenizer.json: " + key), 0u) << error.what();
            return error.what();
        }
        ADD_FAILURE() << key << " was accepted";
        return "";
    };
    using core::ErrorKind;
    EXPECT_NE(message("post_processor", R"({"type": "Other"})", ErrorKind::unsupported).find("'Other'"), std::string::npos);
    message("post_processor", R"({"type": "BertProcessing", "sep": ["a", 99], "cls": ["a", 0]})", ErrorKind::format);
    message("post_processor", R"({"type": "BertProcessing", "sep": ["a"], "cls": ["a", 0]})", ErrorKind::format);
    message("post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}]})", ErrorKind::format);
    message("added_tokens", R"([{"id": -5, "content": "x"}])", ErrorKind::format);
    message("added_tokens", R"([{"id": 1}])", ErrorKind::format);
    message("model", R"({"type": "Other"})", ErrorKind::unsupported);
    message("model", "null", ErrorKind::format);
    message("decoder", R"({"type": "CTC"})", ErrorKind::unsupported);
    for (const char* text : {"", "[]", "{", "null", R"({"model": {"type": "BPE", "vocab": {}, "merges": []}})"})
        EXPECT_THROW(make_tokenizer_json(text, "test"), core::Error) << text;
    EXPECT_THROW(make_tokenizer_json(byte_level, "test", {"", R"({"eos_token_id": 99})"}), core::Error);
    EXPECT_THROW(read_tokenizer_json("/no/such/tokenizer.json"), core::Error);
}

TEST(TokenizerJson, SeedsOfTheFuzzer) {
    const std::filesystem::path folder = std::filesystem::path(TAILOR_SOURCE_DIR) / "fuzz" / "corpus" / "tokenizer";
    int valid = 0, bad = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string(), bytes = core::read_text_file(entry.path().string());
        SCOPED_TRACE(name);
        // After a zero byte comes a text.
        const std::string_view json = std::string_view(bytes).substr(0, bytes.find('\0'));
        if (name.starts_with("valid-")) {
            ++valid;
            EXPECT_NO_THROW(make_tokenizer_json(json, name)->encode("a b"));  // some of them know neither letter
        } else {
            EXPECT_TRUE(name.starts_with("bad-")) << "a seed is named valid-* or bad-*";
            ++bad;
            EXPECT_THROW(make_tokenizer_json(json, name), core::Error);
        }
    }
    EXPECT_GE(valid, 6);
    EXPECT_GE(bad, 6);
}

/// The reference models that come in two containers have one tokenizer in two forms.
TEST(TokenizerJson, AgreesWithTheGgufTwins) {
    const std::filesystem::path models = std::filesystem::path(TAILOR_SOURCE_DIR) / "../shared/golden/models";
    if (!std::filesystem::exists(models)) GTEST_SKIP() << "no reference data at " << models;
    for (const std::string name : {"llama", "qwen2"}) {
        SCOPED_TRACE(name);
        const auto t = read_tokenizer_json((models / (name + "-safetensors") / "tokenizer.json").string());
        const std::string path = (models / name / "texts.json").string();
        const core::Json texts = core::Json::parse(core::read_text_file(path), path);
        EXPECT_EQ(t->bos() < 0 ? texts.at("bos").integer() : t->bos(), texts.at("bos").integer());
        EXPECT_EQ(t->eos(), texts.at("eos").integer());
        EXPECT_EQ(t->adds_bos(), texts.at("add_bos").integer() != 0);
        EXPECT_GE(texts.at("texts").items().size(), 8u);
        for (const core::Json& entry : texts.at("texts").items()) {
            const std::string& text = entry.at("text").string();
            const auto ids = [&](const char* key) {
                Ids result;
                for (const core::Json& id : entry.at(key).items()) result.push_back(static_cast<TokenId>(id.integer()));
                return result;
            };
            EXPECT_EQ(t->encode(text, {.add_special = false}), ids("ids")) << text;
            EXPECT_EQ(t->encode(text, {.parse_special = true}), ids("ids_special")) << text;
            EXPECT_EQ(t->decode(ids("ids")), text);
        }
    }
}

}  // namespace
}  // namespace tailor::text
