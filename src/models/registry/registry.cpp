// Weights, the builder, and look-ups; see model.h and registry.h.
#include "models/registry.h"

#include "core/error.h"
#include "models/adapter.h"
#include "ops/support.h"

namespace tailor::models {

using core::ErrorKind;
using core::fail;

Weights::Weights(const files::File& file) : file_(&file) {}

core::Tensor Weights::find(std::string_view name) const {
    if (const auto it = tensors_.find(name); it != tensors_.end()) return it->second;
    if (const files::TensorInfo* const info = file_->find(name)) return tensors_.emplace(std::string(name), file_->read(*info)).first->second;
    for (const bool first : {true, false}) {
        const std::string_view suffix = first ? files::adapter_a : files::adapter_b;
        const files::Adapter::Pair* const pair = adapter_ && name.ends_with(suffix) ? adapter_->find(name.substr(0, name.size() - suffix.size())) : nullptr;
        if (pair) return first ? pair->a : pair->b;
    }
    return make_ ? make_(std::string(name), {}, true) : core::Tensor{};
}

core::Tensor Weights::find_or_make(const std::string& name, const core::Shape& shape, bool optional) const {
    const core::Tensor tensor = find(name);
    if (tensor || !make_) return tensor;
    const core::Tensor made = make_(name, shape, optional);
    if (made) tensors_.insert_or_assign(name, made);
    return made;
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

Builder::Builder(const Weights& weights, std::int64_t rows, std::int64_t wanted_rows, std::int64_t context_length)
    : token_ids(graph.input("token_ids", ops::i32({rows}))),
      positions(graph.input("positions", ops::i32({rows}))),
      wanted(graph.input("wanted_rows", ops::i32({wanted_rows}))),
      metadata(weights.file().metadata()),
      context(context_length),
      weights_(weights),
      architecture_(metadata.text("general.architecture")) {
    if (context == 0) context = integer("context_length", 0);
}

std::string Builder::key(std::string_view name) const {
    std::string whole = architecture_ + "." + std::string(name);
    weights_.note_key(whole);
    return whole;
}

std::int64_t Builder::integer(std::string_view name) const { return metadata.integer(key(name)); }
std::int64_t Builder::integer(std::string_view name, std::int64_t fallback) const { return metadata.integer(key(name), fallback); }
double Builder::real(std::string_view name) const { return metadata.real(key(name)); }
double Builder::real(std::string_view name, double fallback) const { return metadata.real(key(name), fallback); }
std::string_view Builder::word(std::string_view name, std::string_view fallback) const { return metadata.text(key(name), fallback); }
bool Builder::boolean(std::string_view name, bool fallback) const { return metadata.boolean(key(name), fallback); }

std::vector<std::int64_t> Builder::integers(std::string_view name, std::int64_t layers, std::int64_t fallback) const {
    const files::MetaValue* const value = metadata.find(key(name));
    const auto count = static_cast<std::size_t>(layers);
    if (value && value->type == files::MetaType::array) {
        if (value->integers.size() != count)
            fail(ErrorKind::format, "{}: {} has {} integers for {} layers", weights_.file().path(), key(name), value->integers.size(), layers);
        return value->integers;
    }
    return std::vector<std::int64_t>(count, integer(name, fallback));
}

bool Builder::is_array(std::string_view name) const {
    const files::MetaValue* const value = metadata.find(key(name));
    return value && value->type == files::MetaType::array;
}

std::int64_t Builder::rows_of(const std::string& name) const {
    const core::Tensor tensor = weights_.find_or_make(name, {}, false);
    if (!tensor) fail(ErrorKind::format, "{}: tensor '{}' is missing; a {} model needs it", weights_.file().path(), name, architecture_);
    return tensor.shape.rows();
}

Value Builder::checked(const std::string& name, const core::Tensor& tensor, const core::Shape& shape) {
    used_.insert(name);
    if (!(tensor.shape == shape))
        fail(ErrorKind::format, "{}: tensor '{}' has shape {}, the metadata of this {} model calls for {}", weights_.file().path(), name,
             tensor.shape.text(), architecture_, shape.text());
    return graph.constant(name, tensor);
}

Value Builder::optional_weight(const std::string& name, core::Shape shape) {
    const core::Tensor tensor = weights_.find_or_make(name, shape, true);
    return tensor ? checked(name, tensor, shape) : graph::absent;
}

Value Builder::weight(const std::string& name, core::Shape shape) {
    const core::Tensor tensor = weights_.find_or_make(name, shape, false);
    if (!tensor)
        fail(ErrorKind::format, "{}: tensor '{}' is missing; a {} model needs it with shape {}", weights_.file().path(), name, architecture_, shape.text());
    return checked(name, tensor, shape);
}

core::Tensor Builder::reshaped(const std::string& name, std::int64_t parts, std::int64_t index, core::Shape shape) {
    core::Shape whole = shape;
    if (parts > 1) whole[0] *= parts;
    core::Tensor tensor = weights_.find_or_make(name, whole, false);
    if (!tensor)
        fail(ErrorKind::format, "{}: tensor '{}' is missing; a {} model needs it with shape {}", weights_.file().path(), name, architecture_, whole.text());
    used_.insert(name);
    if (tensor.layout != core::Layout::rows || tensor.shape.elements() != parts * shape.elements() || !tensor.format->holds(shape.width()))
        fail(ErrorKind::format, "{}: tensor '{}' has shape {} in {}, the metadata of this {} model calls for {} x {}", weights_.file().path(), name,
             tensor.shape.text(), tensor.format->name, architecture_, parts, shape.text());
    tensor.shape = shape;
    tensor.row_stride_bytes = tensor.format->row_bytes(shape.width());
    tensor.data += index * formats::tensor_bytes(*tensor.format, shape);
    return tensor;
}

Value Builder::weight_as(const std::string& name, core::Shape shape) { return graph.constant(name, reshaped(name, 1, 0, shape)); }

Value Builder::weight_part(const std::string& name, std::int64_t parts, std::int64_t index, core::Shape shape) {
    return graph.constant(name + "[" + std::to_string(index) + "]", reshaped(name, parts, index, shape));
}

Value Builder::linear(Value x, const std::string& name, std::int64_t outputs) {
    const std::int64_t width = graph.node(x).type.shape.width();
    const Value w = weight(name + ".weight", {outputs, width});
    const Value scale = optional_weight(name + ".scale", {1}), bias = optional_weight(name + ".bias", {outputs});
    if (scale == graph::absent) return graph.add("matmul", {x, w, bias}, {}, name);
    return graph.add("scale", {graph.add("matmul", {x, w}, {}, name), scale, bias}, {}, name + "_scaled");
}

Value Builder::norm(std::string_view op, Value x, const std::string& name, double epsilon, std::int64_t group) {
    const std::int64_t width = graph.node(x).type.shape.width();
    if (group == 0) group = width;
    const auto shape = [&](const std::string& part) {
        const core::Tensor tensor = weights_.find(part);
        return tensor && tensor.shape.rank() == 2 ? core::Shape{width / group, group} : core::Shape{group};
    };
    const Value w = weight(name + ".weight", shape(name + ".weight"));
    const Value bias = op == "layer_norm" ? optional_weight(name + ".bias", shape(name + ".bias")) : graph::absent;
    return graph.add(op, {x, w, bias}, {{"epsilon", epsilon}, {"group", group}}, name);
}

Value Builder::rms_norm(Value x, const std::string& name, double epsilon, std::int64_t group) { return norm("rms_norm", x, name, epsilon, group); }
Value Builder::layer_norm(Value x, const std::string& name, double epsilon, std::int64_t group) { return norm("layer_norm", x, name, epsilon, group); }

void Builder::leave_out(std::string_view prefix) {
    for (const files::TensorInfo& tensor : weights_.file().tensors())
        if (std::string_view(tensor.name).substr(0, prefix.size()) == prefix) used_.insert(tensor.name);
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

// What a family says of keys and sizes gets the file's name here.
// What a family builds, with the file's path in front of every error.
template <class Build>
static graph::Graph built(const Weights& weights, std::int64_t rows, std::int64_t wanted_rows, std::int64_t context, const Build& add) {
    try {
        Builder builder(weights, rows, wanted_rows, context);
        add(builder);
        return std::move(builder.graph);
    } catch (const core::Error& error) {
        const std::string& path = weights.file().path();
        if (std::string_view(error.what()).substr(0, path.size()) == path) throw;
        throw core::Error(error.kind(), path + ": " + error.what());
    }
}

// The adapter with its matrices as the weights hold them now: a session puts them in panels like others.
static graph::Graph adapted(const graph::Graph& graph, const Weights& weights) {
    if (!weights.adapter()) return graph;
    files::Adapter adapter = *weights.adapter();
    for (files::Adapter::Pair& pair : adapter.pairs)
        pair.a = weights.find(pair.weight + std::string(files::adapter_a)), pair.b = weights.find(pair.weight + std::string(files::adapter_b));
    return add_adapter(graph, adapter);
}

graph::Graph build(const Model& family, const Weights& weights, std::int64_t rows, std::int64_t wanted_rows, std::int64_t context) {
    return adapted(built(weights, rows, wanted_rows, context,
                         [&](Builder& builder) {
                             builder.graph.output(family.build(builder));
                             builder.require_all_used();
                         }),
                   weights);
}

graph::Graph build_encoder(const Model& family, const Weights& weights, std::int64_t rows, std::int64_t context) {
    return built(weights, rows, rows, context, [&](Builder& builder) { family.build_encoder(builder); });
}

}  // namespace tailor::models
