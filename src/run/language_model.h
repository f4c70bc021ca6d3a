// A model that can be run: its file, family, weights and, if the file has one, its tokenizer.
#pragma once
#include <memory>
#include <string>

#include "models/registry.h"
#include "text/tokenizer.h"

namespace tailor::run {

/// Facts every command needs.
struct ModelFacts {
    std::int64_t vocabulary = 0;
    std::int64_t context = 0;  ///< tokens the model was made for
    std::int64_t layers = 0;
    std::int64_t parameters = 0;
    std::uint64_t weight_bytes = 0;
};

class LanguageModel {
  public:
    /// Opens and checks a model file: builds its graph once, so that a missing or unknown tensor is found here.
    /// Throws Error naming file and tensor.
    static std::shared_ptr<LanguageModel> open(const std::string& path);
    /// The same for a file that is already open (a synthetic model, the embedded default).
    static std::shared_ptr<LanguageModel> from_file(std::unique_ptr<files::File> file);
    /// The first `layers` layers of `whole`, followed by its output norm and matrix: the same weights, not copies. It has no tokenizer.
    /// Throws Error(usage) if that is not fewer than the layers there are, or the family reads one text before it writes another.
    static std::shared_ptr<LanguageModel> first_layers(std::shared_ptr<const LanguageModel> whole, std::int64_t layers);
    /// From here on the model computes with the adapter of this file or folder (files/adapter.h) beside its weights. Throws Error as
    /// files::read_adapter, and Error(unsupported) for a weight that cannot have one.
    void adapt(const std::string& path);

    const files::File& file() const { return *file_; }
    const models::Model& family() const { return *family_; }
    const models::Weights& weights() const { return weights_; }
    models::Weights& weights() { return weights_; }
    /// The weight in panels (formats/panels.h), packed when it is first asked for and kept; its pages of the file go back to
    /// the system. Not to be called from two threads at once.
    core::Tensor weight_in_panels(const std::string& name, core::Pool& pool) const;
    const ModelFacts& facts() const { return facts_; }
    bool has_tokenizer() const { return tokenizer_ != nullptr; }
    /// Throws Error(unsupported) if the file has no tokenizer or one that this build does not know.
    const text::Tokenizer& tokenizer() const;

  private:
    explicit LanguageModel(std::unique_ptr<files::File> file);
    std::shared_ptr<const LanguageModel> whole_;  ///< of which this one is the first layers; null: of none
    std::unique_ptr<files::File> file_;
    const models::Model* family_;
    models::Weights weights_;
    mutable std::map<std::string, core::Tensor> panels_;
    ModelFacts facts_;
    std::unique_ptr<text::Tokenizer> tokenizer_;
    std::string tokenizer_error_;
};

}  // namespace tailor::run
