// Choosing the kind of tokenizer; see tokenizer.h.
#include "text/tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "text/tokenizer_json.h"
#include "text/tokenizers/registry.h"

namespace tailor::text {

bool Tokenizer::ends_generation(TokenId id) const { return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end(); }

// The files of a Hugging Face folder, whole, as files/hugging_face keeps them.
static constexpr std::string_view json_key = "tokenizer.huggingface.json";
static constexpr std::string_view config_key = "tokenizer.huggingface.tokenizer_config";
static constexpr std::string_view generation_key = "tokenizer.huggingface.generation_config";

std::string_view tokenizer_name(const files::Metadata& metadata) {
    if (const files::MetaValue* const model = metadata.find("tokenizer.ggml.model")) return model->text;
    return metadata.find(json_key) ? "tokenizer.json" : "";
}

bool has_tokenizer(const files::Metadata& metadata) { return metadata.find("tokenizer.ggml.model") || metadata.find(json_key); }

std::unique_ptr<Tokenizer> make_tokenizer(const files::Metadata& metadata) {
    if (!metadata.find("tokenizer.ggml.model") && metadata.find(json_key))
        return make_tokenizer_json(metadata.text(json_key), "tokenizer.json", {metadata.text(config_key, ""), metadata.text(generation_key, "")});
    const std::string_view wanted = metadata.text("tokenizer.ggml.model");
    std::vector<std::string> names;
    for (const TokenizerKind* kind : tokenizers::all()) {
        if (kind->name == wanted || (!kind->other_name.empty() && kind->other_name == wanted)) return kind->make(metadata);
        names.emplace_back(kind->name);
    }
    core::fail(core::ErrorKind::unsupported, "tokenizer.ggml.model is '{}', a tokenizer that is not supported; there are {}",
               wanted, core::join(names, ", "));
}

}  // namespace tailor::text
