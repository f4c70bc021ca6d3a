// Text under JSON schemas, written by a model of random weights: whatever the model wants, what it writes is valid JSON that follows the
// schema and ends within the tokens it was given.
#include <gtest/gtest.h>

#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/generate.h"
#include "text/grammar/grammar.h"
#include "text/tiny_vocabulary.h"

namespace tailor::run {
namespace {

using core::Json;

constexpr std::size_t vocabulary = 512;

// Bytes, and pieces that cross the parts of JSON.
text::testing::TinyVocabulary json_vocabulary() {
    text::testing::TinyVocabulary v = text::testing::tiny_sentence_piece();
    const std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789{}[]\",:-.e ";
    for (const char* const piece :
         {"{\"", "\"}", "\":", "\",", ",\"", "},", "[{", "}]", "]}", "true", "null", "\\\"", "00", "12", "3.1", "name\":", "é", "\\u00", "\n"})
        v.add(piece, text::TokenType::normal, -20);
    for (std::size_t i = 0; v.tokens.size() < vocabulary; ++i) {
        const std::string piece = std::string() + letters[i % letters.size()] + letters[i * 7 / 5 % letters.size()];
        if (v.id(piece) < 0) v.add(piece, text::TokenType::normal, -30);
    }
    return v;
}

/// The synthetic model with that vocabulary.
class WithVocabulary : public files::File {
  public:
    WithVocabulary() : model_(files::make_synthetic("llama-tiny", formats::get("f32"))) {
        path_ = "llama-tiny with a vocabulary";
        tensors_ = model_->tensors();
        metadata_ = model_->metadata();
        const files::Metadata keys = text::testing::metadata(json_vocabulary(), "llama");
        for (const auto& [key, value] : keys.entries()) metadata_.set(key, value);
        metadata_.set_integer("tokenizer.ggml.eos_token_id", 2);
    }
    core::Tensor read(const files::TensorInfo& tensor) const override { return model_->read(tensor); }
    std::uint64_t bytes() const override { return 0; }

  private:
    std::unique_ptr<files::File> model_;
};

struct Case {
    const char* schema;
    bool (*follows)(const Json& json);
};

const Case cases[] = {
    {R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"]})",
     [](const Json& j) { return j.at("name").is_string() && j.at("age").is_number(); }},
    {R"({"type":"array","items":{"enum":["red","green",3,null]},"minItems":2,"maxItems":5})",
     [](const Json& j) { return j.items().size() >= 2 && j.items().size() <= 5; }},
    {R"({"properties":{"at":{"properties":{"x":{"type":"number"},"y":{"type":"number"}},"required":["x","y"]},)"
     R"("tags":{"items":{"type":"string","maxLength":6}}},"required":["at","tags"]})",
     [](const Json& j) { return j.at("at").at("x").is_number() && j.at("at").at("y").is_number() && j.at("tags").is_array(); }},
    {R"({"anyOf":[{"type":"boolean"},{"type":"string","pattern":"^[a-c]{3}$"}]})",
     [](const Json& j) { return j.is_string() ? j.string().size() == 3 : j.boolean() || true; }},
    {"{}", [](const Json&) { return true; }},
};

TEST(Constrained, RandomWeightsWriteWhatTheSchemaSays) {
    core::Pool pool(1);
    const auto model = LanguageModel::from_file(std::make_unique<WithVocabulary>());
    Session session(model, pool, {.context = 128});
    for (const Case& c : cases) {
        text::grammar::TokenMask mask(text::grammar::from_json_schema(Json::parse(c.schema)), model->tokenizer());
        for (std::uint64_t seed = 0; seed < 40; ++seed) {
            session.reset();
            mask.restart();
            const auto most = static_cast<std::int64_t>(60 + seed % 40);
            const SamplerOptions wild{.temperature = 2, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
            const Generated written = generate(session, {1, 5}, {.most_tokens = most, .sampler = wild, .mask = &mask});
            ASSERT_TRUE(mask.may_end()) << c.schema << "\n" << written.text;
            ASSERT_TRUE(c.follows(Json::parse(written.text, "what was written"))) << c.schema << "\n" << written.text;
            ASSERT_LE(written.ids.size(), static_cast<std::size_t>(most));
        }
    }
}

}  // namespace
}  // namespace tailor::run
