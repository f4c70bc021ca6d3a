// See checkpoint.h.
#include "files/hugging_face/checkpoint.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/quoted.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

using core::ErrorKind;
using core::fail;
using core::Json;

/// The members of "text_config" put in the place of the outer ones; the rest stays (tokens, architectures).
static Json flattened(const Json& config) {
    const Json* const text = config.find("text_config");
    if (!text || !text->is_object()) return config;
    Json result = config;
    for (const auto& [key, value] : text->members())
        if (key != "architectures" && key != "model_type") result.set(key, value);
    return result;
}

Checkpoint::Checkpoint(const std::string& folder) {
    const std::string config_path = folder + "/config.json";
    config_ = Json::parse(core::read_text_file(config_path), config_path);
    if (!config_.is_object()) fail(ErrorKind::format, "{}: must be a JSON object", config_path);
    const Json* settings = config_.find("quantization_config");
    Json own_file;
    // Before Transformers took the settings into config.json, GPTQ had a file of its own.
    if (const std::string path = folder + "/quantize_config.json"; !settings && core::exists(path)) {
        own_file = Json::parse(core::read_text_file(path), path);
        if (own_file.is_object()) config_.set("quantization_config", own_file.set("quant_method", "gptq"));
    }
    config_ = flattened(config_);
    packing_ = packed_weights::packing_of(config_.find("quantization_config"), config_path);
    open_shards(folder);
    if (packing_) unpack();
    add_plain();
    if (config_.find("text_config")) take_text_part();
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (!by_name_.emplace(entries_[i].name, i).second) fail(ErrorKind::format, "{}: tensor {} occurs twice", folder, quoted(entries_[i].name));
}

void Checkpoint::open_shards(const std::string& folder) {
    const std::string index_path = folder + "/model.safetensors.index.json", single = folder + "/model.safetensors";
    if (!core::exists(index_path)) {
        if (!core::exists(single)) fail(ErrorKind::io, "{}: the folder has neither model.safetensors nor model.safetensors.index.json", folder);
        return add_shard(single);
    }
    const Json index = Json::parse(core::read_text_file(index_path), index_path);
    const Json* const map = index.find("weight_map");
    if (!map || !map->is_object()) fail(ErrorKind::format, "{}: there is no object \"weight_map\"", index_path);
    std::set<std::string> names;
    for (const auto& [tensor, file] : map->members()) {
        const std::string& name = file.string();
        if (name.empty() || name.find('/') != std::string::npos)
            fail(ErrorKind::format, "{}: tensor {} is said to lie in {}, which is no file of this folder", index_path, quoted(tensor), quoted(name));
        names.insert(name);
    }
    for (const std::string& name : names) add_shard(folder + "/" + name);
    for (const auto& [tensor, file] : map->members())
        if (!stored_.contains(tensor)) fail(ErrorKind::format, "{}: tensor {} is not in {}", index_path, quoted(tensor), file.string());
}

void Checkpoint::add_shard(const std::string& path) {
    Shard shard{path, std::make_unique<core::MappedFile>(path), {}};
    shard.header = safetensors::parse_header(shard.mapping->bytes(), path);
    shards_.push_back(std::move(shard));
    const std::vector<safetensors::StoredTensor>& tensors = shards_.back().header.tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (!stored_.emplace(tensors[i].name, places_.size()).second)
            fail(ErrorKind::format, "{}: tensor {} is in another file of the folder too", path, quoted(tensors[i].name));
        places_.push_back({shards_.size() - 1, i});
    }
}

packed_weights::Part Checkpoint::part(const std::string& name) const {
    const auto it = stored_.find(name);
    if (it == stored_.end()) return {};
    const Place place = places_[it->second];
    const Shard& shard = shards_[place.shard];
    const safetensors::StoredTensor& tensor = shard.header.tensors[place.tensor];
    return {&tensor, shard.mapping->bytes().data() + tensor.offset, shard.path};
}

void Checkpoint::unpack() {
    const Json& settings = *config_.find("quantization_config");
    for (const Place& place : places_) {
        const std::string& name = shards_[place.shard].header.tensors[place.tensor].name;
        std::optional<packed_weights::Weight> weight = packing_->unpack(
            part(name), [this](const std::string& wanted) { return part(wanted); }, settings);
        if (!weight) continue;
        consumed_.insert(weight->parts.begin(), weight->parts.end());
        entries_.push_back({weight->name, weight->shape, weight->format, std::string(packing_->name), weights_.size(), true});
        weights_.push_back(std::move(*weight));
    }
}

void Checkpoint::add_plain() {
    for (std::size_t i = 0; i < places_.size(); ++i) {
        const safetensors::StoredTensor& tensor = shards_[places_[i].shard].header.tensors[places_[i].tensor];
        const bool unused = packing_ && std::any_of(packing_->unused.begin(), packing_->unused.end(),
                                                    [&](std::string_view suffix) { return tensor.name.ends_with(suffix); });
        if (unused || consumed_.contains(tensor.name)) continue;
        core::Shape shape;
        const std::size_t rank = tensor.dimensions.size(), folded = rank > core::Shape::max_rank ? rank - core::Shape::max_rank : 0;
        std::int64_t outer = 1;
        for (std::size_t d = 0; d < rank; ++d) {
            if (d < folded) outer *= tensor.dimensions[d];
            else shape.append(d == folded ? outer * tensor.dimensions[d] : tensor.dimensions[d]);
        }
        entries_.push_back({tensor.name, shape, tensor.type ? formats::find(tensor.type->format) : nullptr, tensor.type_name, i, false});
    }
}

void Checkpoint::take_text_part() {
    constexpr std::string_view others[] = {"vision_tower.", "vision_model.", "visual.", "audio_tower.", "multi_modal_projector.", "embed_vision.", "embed_audio.", "mm_"};
    constexpr std::string_view prefixes[] = {"language_model.", "text_model."};
    std::vector<Entry> kept;
    for (Entry& entry : entries_) {
        std::string_view rest = entry.name;
        const bool under_model = rest.starts_with("model.");
        if (under_model) rest.remove_prefix(6);
        if (std::any_of(std::begin(others), std::end(others), [&](std::string_view other) { return rest.starts_with(other); })) continue;
        for (const std::string_view prefix : prefixes)
            if (rest.starts_with(prefix)) {
                // "model.language_model.layers" and "language_model.model.layers" are both "model.layers".
                entry.name = (under_model ? "model." : "") + std::string(rest.substr(prefix.size()));
                break;
            }
        kept.push_back(std::move(entry));
    }
    entries_ = std::move(kept);
}

std::uint64_t Checkpoint::bytes() const {
    std::uint64_t sum = 0;
    for (const Shard& shard : shards_) sum += shard.mapping->bytes().size();
    return sum;
}

const Checkpoint::Entry* Checkpoint::find(std::string_view name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : &entries_[it->second];
}

core::Tensor Checkpoint::read(const Entry& entry) const {
    if (!entry.packed) {
        const Place place = places_[entry.index];
        const Shard& shard = shards_[place.shard];
        const safetensors::StoredTensor& tensor = shard.header.tensors[place.tensor];
        return safetensors::read_stored(tensor, shard.mapping->bytes().data() + tensor.offset, shard.path);
    }
    core::Tensor result = formats::make_tensor(*entry.format, entry.shape);
    const std::int64_t width = entry.shape.width();
    weights_[entry.index].decode([&](std::int64_t first, std::int64_t rows, const float* values) {
        for (std::int64_t r = 0; r < rows; ++r) entry.format->encode(values + r * width, nullptr, result.row(first + r), width);
    });
    return result;
}

void Checkpoint::release(const Entry& entry) const {
    const auto give_back = [&](const std::string& name) {
        const Place place = places_[stored_.at(name)];
        const Shard& shard = shards_[place.shard];
        const safetensors::StoredTensor& tensor = shard.header.tensors[place.tensor];
        shard.mapping->release(tensor.offset, tensor.bytes);
    };
    if (entry.packed) {
        for (const std::string& name : weights_[entry.index].parts) give_back(name);
        return;
    }
    const Place place = places_[entry.index];
    give_back(shards_[place.shard].header.tensors[place.tensor].name);
}

}  // namespace tailor::files::hugging_face
