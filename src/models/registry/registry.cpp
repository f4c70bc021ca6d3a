// Weights, the builder, and look-ups; see model.h and registry.h.
#include "models/registry.h"

#include "core/error.h"
#include "ops/support.h"

namespace tailor::models {

using core::ErrorKind;
using core::fail;

Weights::Weights(const files::File& file) : file_(&file) {}

core::Tensor Weights::find(std::string_view name) const {
    if (const auto it = tensors_.find(name); it != tensors_.end()) return it->second;
    const files::TensorInfo* const info = file_->find(name);
    if (!info) return {};
    return tensors_.emplace(std::string(name), file_->read(*info)).first->second;
}

void Weights::forget(std::string_view name) const {
    if (const auto it = tensors_.find(name); it != tensors_.end()) tensors_.erase(it);
    if (const files::TensorInfo* const info = file_->find(name)) file_->release(*info);
}

void Weights::replace(std::string_view name, core::Tensor tensor) {
    const core::Tensor old = find(name);
    if (!old || !(old.shape == tensor.shape)) fail(ErrorKind::bug, "'{}' cannot be replaced by a tensor of shape {}", name, tensor.shape.text());
    tensors_.insert_or_assign(std::string(name), std::move(tensor));
}

Builder::Builder(const Weights& weights, std::int64_t rows, std::int64_t wanted_rows)
    : token_ids(graph.input("token_ids", ops::i32({rows}))),
      positions(graph.input("positions", ops::i32({rows}))),
      wanted(graph.input("wanted_rows", ops::i32({wanted_rows}))),
      metadata(weights.file().metadata()),
      weights_(weights),
      architecture_(metadata.text("general.architecture")) {}

std::int64_t Builder::integer(std::string_view name) const { return metadata.integer(key(name)); }
std::int64_t Builder::integer(std::string_view name, std::int64_t fallback) const { return metadata.integer(key(name), fallback); }
double Builder::real(std::string_view name) const { return metadata.real(key(name)); }
double Builder::real(std::string_view name, double fallback) const { return metadata.real(key(name), fallback); }
std::string_view Builder::word(std::string_view name, std::string_view fallback) const { return metadata.text(key(name), fallback); }

Value Builder::optional_weight(const std::string& name, core::Shape shape) {
    const core::Tensor tensor = weights_.find(name);
    if (!tensor) return graph::absent;
    used_.insert(name);
    if (!(tensor.shape == shape))
        fail(ErrorKind::format, "{}: tensor '{}' has shape {}, the metadata of this {} model calls for {}", weights_.file().path(), name,
             tensor.shape.text(), architecture_, shape.text());
    return graph.constant(name, tensor);
}

Value Builder::weight(const std::string& name, core::Shape shape) {
    const Value value = optional_weight(name, shape);
    if (value == graph::absent)
        fail(ErrorKind::format, "{}: tensor '{}' is missing; a {} model needs it with shape {}", weights_.file().path(), name, architecture_, shape.text());
    return value;
}

Value Builder::linear(Value x, const std::string& name, std::int64_t outputs) {
    const std::int64_t width = graph.node(x).type.shape.width();
    const Value w = weight(name + ".weight", {outputs, width});
    return graph.add("matmul", {x, w, optional_weight(name + ".bias", {outputs})}, {}, name);
}

Value Builder::rms_norm(Value x, const std::string& name, double epsilon) {
    const Value w = weight(name + ".weight", {graph.node(x).type.shape.width()});
    return graph.add("rms_norm", {x, w}, {{"epsilon", epsilon}}, name);
}

void Builder::require_all_used() const {
    for (const files::TensorInfo& tensor : weights_.file().tensors())
        if (!used_.contains(tensor.name))
            fail(ErrorKind::unsupported, "{}: tensor '{}' {} is not a part of the {} family as Tailor knows it; ignoring it would give wrong results",
                 weights_.file().path(), tensor.name, tensor.shape.text(), architecture_);
}

const Model& family_of(const files::File& file) {
    const std::string_view architecture = file.metadata().text("general.architecture");
    std::vector<std::string> known;
    for (const Model* model : all())
        for (const std::string_view name : model->architectures) {
            if (name == architecture) return *model;
            known.emplace_back(name);
        }
    fail(ErrorKind::unsupported, "{}: unknown architecture '{}'; this build knows {}", file.path(), architecture, core::join(known, ", "));
}

graph::Graph build(const Model& family, const Weights& weights, std::int64_t rows, std::int64_t wanted_rows) {
    Builder builder(weights, rows, wanted_rows);
    builder.graph.output(family.build(builder));
    builder.require_all_used();
    return std::move(builder.graph);
}

}  // namespace tailor::models
