// Opening and checking; see language_model.h.
#include "run/language_model.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "files/registry.h"
#include "formats/panels.h"
#include "models/adapter.h"

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
    if (whole_) {
        weights_.forget(name);
        return whole_->weight_in_panels(name, pool);
    }
    if (const auto it = panels_.find(name); it != panels_.end()) return it->second;
    const core::Tensor panels = formats::make_panels(weights_.find(name), &pool);
    weights_.forget(name);
    return panels_.emplace(name, panels).first->second;
}

std::shared_ptr<LanguageModel> LanguageModel::from_file(std::unique_ptr<files::File> file) {
    return std::shared_ptr<LanguageModel>(new LanguageModel(std::move(file)));
}

namespace {

/// A file less its layers from `layers` on, and less its tokenizer.
class FirstLayers : public files::File {
  public:
    FirstLayers(const files::File& whole, std::int64_t layers) : whole_(whole) {
        path_ = core::format("the first {} layers of {}", layers, whole.path());
        const std::string architecture(whole.metadata().text("general.architecture"));
        const auto all = static_cast<std::size_t>(whole.metadata().integer(architecture + ".block_count")), kept = static_cast<std::size_t>(layers);
        for (const auto& [key, value] : whole.metadata().entries()) {
            if (key.rfind("tokenizer.", 0) == 0) continue;
            files::MetaValue mine = value;
            if (key.rfind(architecture + ".", 0) == 0 && mine.type == files::MetaType::array && mine.items() == all) {  // one item per layer
                if (!mine.integers.empty()) mine.integers.resize(kept);
                if (!mine.reals.empty()) mine.reals.resize(kept);
                if (!mine.texts.empty()) mine.texts.resize(kept);
            }
            metadata_.append(key, std::move(mine));
        }
        metadata_.set_integer(architecture + ".block_count", layers);
        for (const files::TensorInfo& tensor : whole.tensors())
            if (tensor.name.rfind("blk.", 0) != 0 || std::atoll(tensor.name.c_str() + 4) < layers) tensors_.push_back(tensor);
    }
    core::Tensor read(const files::TensorInfo& tensor) const override { return whole_.read(tensor); }
    void release(const files::TensorInfo& tensor) const override { whole_.release(tensor); }
    std::uint64_t bytes() const override { return whole_.bytes(); }

  private:
    const files::File& whole_;
};

}  // namespace

std::shared_ptr<LanguageModel> LanguageModel::first_layers(std::shared_ptr<const LanguageModel> whole, std::int64_t layers) {
    if (layers < 1 || layers >= whole->facts().layers)
        core::fail(core::ErrorKind::usage, "{} has {} layers: its first layers are 1 to {} of them, not {}", whole->file().path(), whole->facts().layers, whole->facts().layers - 1, layers);
    if (whole->family().build_encoder || whole->family().encodes)
        core::fail(core::ErrorKind::usage, "{}: a model of the {} family cannot be cut after a layer", whole->file().path(), whole->family().name);
    auto first = from_file(std::make_unique<FirstLayers>(whole->file(), layers));
    first->weights_.adapt(whole->weights_.adapter());
    first->whole_ = std::move(whole);
    return first;
}

void LanguageModel::adapt(const std::string& path) {
    auto adapter = std::make_shared<files::Adapter>(files::read_adapter(path, *file_));
    const std::vector<models::AdaptableWeight> can = models::adaptable_weights(models::build(*family_, weights_, 1, 1));
    for (const files::Adapter::Pair& pair : adapter->pairs)
        if (std::none_of(can.begin(), can.end(), [&](const models::AdaptableWeight& weight) { return weight.name == pair.weight; }))
            core::fail(core::ErrorKind::unsupported, "{}: it changes {}, which {} does not only multiply by; merge it: tailor convert {} OUT.gguf --adapter {}", path, pair.weight, file_->path(),
                       file_->path(), path);
    weights_.adapt(std::move(adapter));
}

std::shared_ptr<LanguageModel> LanguageModel::open(const std::string& path) { return from_file(files::open(path)); }

const text::Tokenizer& LanguageModel::tokenizer() const {
    if (!tokenizer_) throw core::Error(core::ErrorKind::unsupported, tokenizer_error_);
    return *tokenizer_;
}

}  // namespace tailor::run
