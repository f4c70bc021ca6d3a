// Opening and checking; see language_model.h.
#include "run/language_model.h"

#include "core/error.h"
#include "files/registry.h"
#include "formats/panels.h"

namespace tailor::run {

LanguageModel::LanguageModel(std::unique_ptr<files::File> file)
    : file_(std::move(file)), family_(&models::family_of(*file_)), weights_(*file_) {
    const files::Metadata& metadata = file_->metadata();
    const std::string architecture(metadata.text("general.architecture"));
    facts_.layers = metadata.integer(architecture + ".block_count");
    // A model without attention may state no length: it has no limit.
    facts_.context = metadata.integer(architecture + ".context_length", std::int64_t{1} << 20);
    for (const files::TensorInfo& tensor : file_->tensors()) {
        facts_.parameters += tensor.shape.elements();
        facts_.weight_bytes += tensor.bytes;
    }
    const graph::Graph graph = models::build(*family_, weights_, 1, 1);
    facts_.vocabulary = family_->encodes ? weights_.find("token_embd.weight").shape.rows() : graph.node(graph.outputs()[0]).type.shape.width();
    if (!text::has_tokenizer(metadata)) {
        tokenizer_error_ = file_->path() + ": the file has no tokenizer (tokenizer.ggml.model or tokenizer.json); give token ids instead of text";
        return;
    }
    try {
        tokenizer_ = text::make_tokenizer(metadata);
    } catch (const core::Error& error) {  // the weights can still be run by token ids
        tokenizer_error_ = file_->path() + ": " + error.what();
    }
}

core::Tensor LanguageModel::weight_in_panels(const std::string& name, core::Pool& pool) const {
    if (const auto it = panels_.find(name); it != panels_.end()) return it->second;
    const core::Tensor panels = formats::make_panels(weights_.find(name), &pool);
    weights_.forget(name);
    return panels_.emplace(name, panels).first->second;
}

std::shared_ptr<LanguageModel> LanguageModel::from_file(std::unique_ptr<files::File> file) {
    return std::shared_ptr<LanguageModel>(new LanguageModel(std::move(file)));
}

std::shared_ptr<LanguageModel> LanguageModel::open(const std::string& path) { return from_file(files::open(path)); }

const text::Tokenizer& LanguageModel::tokenizer() const {
    if (!tokenizer_) throw core::Error(core::ErrorKind::unsupported, tokenizer_error_);
    return *tokenizer_;
}

}  // namespace tailor::run
