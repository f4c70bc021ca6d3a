// Sizes, keys and tensors of models that are made; see new_model.h.
#include "models/new_model.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "formats/registry.h"
#include "models/registry.h"

namespace tailor::models {

using core::ErrorKind;
using core::fail;

Sizes completed(const std::string& architecture, Sizes s) {
    const auto otherwise = [](std::int64_t& size, std::int64_t value) {
        if (size == 0) size = value;
    };
    otherwise(s.heads, std::max<std::int64_t>(1, s.width / 32));
    otherwise(s.kv_heads, s.heads % 2 == 0 ? s.heads / 2 : s.heads);
    otherwise(s.ffn, 3 * s.width);
    if (architecture.find("moe") != std::string::npos || architecture == "gpt-oss") otherwise(s.experts, 8);
    otherwise(s.experts_used, std::min<std::int64_t>(2, std::max<std::int64_t>(1, s.experts)));
    otherwise(s.expert_ffn, std::max<std::int64_t>(1, s.ffn / s.experts_used));
    otherwise(s.inner, 2 * s.width);
    otherwise(s.step_rank, std::max<std::int64_t>(1, s.width / 16));
    const std::pair<const char*, std::int64_t> sizes[] = {{"vocabulary", s.vocabulary}, {"context", s.context}, {"layers", s.layers}, {"width", s.width}, {"heads", s.heads},
                                                          {"kv-heads", s.kv_heads}, {"ffn", s.ffn}, {"experts-used", s.experts_used}, {"expert-ffn", s.expert_ffn},
                                                          {"state", s.state}, {"inner", s.inner}, {"convolution", s.taps}, {"step-rank", s.step_rank}};
    for (const auto& [name, size] : sizes)
        if (size < 1) fail(ErrorKind::usage, "{} is {}; a {} model needs at least 1", name, size, architecture);
    if (s.experts < 0) fail(ErrorKind::usage, "experts is {}; it must not be negative", s.experts);
    if (s.width % s.heads != 0) fail(ErrorKind::usage, "a width of {} cannot be shared among {} heads", s.width, s.heads);
    return s;
}

files::Metadata describe(const std::string& architecture, const Sizes& sizes) {
    const Sizes s = completed(architecture, sizes);
    files::Metadata metadata;
    metadata.set_text("general.architecture", architecture);
    const std::string prefix = architecture + ".";
    const auto set = [&](const char* key, std::int64_t value) { metadata.set_integer(prefix + key, value); };
    set("block_count", s.layers);
    set("context_length", s.context);
    set("embedding_length", s.width);
    set("feed_forward_length", s.ffn);
    set("attention.head_count", s.heads);
    set("attention.head_count_kv", s.kv_heads);
    for (const char* const epsilon : {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"}) metadata.set_real(prefix + epsilon, s.epsilon);
    set("rope.dimension_count", s.width / s.heads);
    metadata.set_real(prefix + "rope.freq_base", s.rope_base);
    set("attention.sliding_window", s.context);
    set("attention.relative_buckets_count", 32);  // T5's number
    set("attention.kv_lora_rank", std::max<std::int64_t>(1, s.width / 2));
    set("attention.key_length_mla", 2 * (s.width / s.heads));  // of which the last rope.dimension_count are turned
    set("wkv.head_size", s.width / s.heads);
    set("shortconv.l_cache", s.taps);
    set("ssm.conv_kernel", s.taps);
    set("ssm.inner_size", s.inner);
    set("ssm.state_size", s.state);
    set("ssm.time_step_rank", s.step_rank);
    set("ssm.group_count", 1);
    if (s.experts > 0) set("expert_count", s.experts), set("expert_used_count", s.experts_used), set("expert_feed_forward_length", s.expert_ffn);
    return metadata;
}

/// Of tensors whose size is theirs to say; rank 0 for all others.
static core::Shape chosen_shape(const std::string& name, const Sizes& s) {
    if (name == "token_embd.weight" || name == "output.weight") return {s.vocabulary, s.width};
    if (name == "position_embd.weight") return {s.context, s.width};
    if (name.ends_with("ffn_up_exps.weight")) return {s.experts, s.expert_ffn, s.width};
    if (name.ends_with("ffn_gate_up_exps.weight")) return {s.experts, 2 * s.expert_ffn, s.width};
    // The narrow side of low-rank mixers, five of which may share one tensor; 32 is RWKV-6's width of each.
    if (name.ends_with("1.weight")) return {5 * 32, s.width};
    return {};
}

/// Biases without which a paper's formula is another: a family that can have them gets them.
static bool begins_with_bias(const std::string& name) {
    constexpr std::string_view endings[] = {"ssm_dt.bias", "ssm_conv1d.bias", "attn_decay_b.bias", "lstm_in.bias"};
    return std::any_of(std::begin(endings), std::end(endings), [&](std::string_view ending) { return name.ends_with(ending); });
}

NewModel::NewModel(std::string path, files::Metadata metadata, const Sizes& sizes, const Shapes& beforehand) : sizes_(sizes) {
    path_ = std::move(path);
    metadata_ = std::move(metadata);
    for (const auto& [name, shape] : beforehand) add(name, shape);
    build_once();
}

void NewModel::build_once() {
    const Model& family = family_of(*this);
    Weights weights(*this);
    std::set<std::string> read;
    weights.note_keys(&read);
    weights.make_missing([this](const std::string& name, const core::Shape& shape, bool optional) { return make(name, shape, optional); });
    if (family.build_encoder) build_encoder(family, weights, 4);
    build(family, weights, 4, 4);
    const std::string prefix = std::string(metadata_.text("general.architecture")) + ".";
    // What every reader of GGUF expects stays.
    for (const char* const key : {"block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"}) read.insert(prefix + key);
    files::Metadata kept;
    for (const auto& [key, value] : metadata_.entries())
        if (!key.starts_with(prefix) || read.contains(key)) kept.append(key, value);
    metadata_ = std::move(kept);
}

/// Of tensors that make a family another where a file has them; rank 0 for all others.
static core::Shape preferred_shape(const std::string& name, const Sizes& s) {
    if (name == "output.weight" && !s.tied) return {s.vocabulary, s.width};
    // Without it, gate and up lie in one tensor.
    if (name.ends_with("ffn_gate.weight")) return {s.ffn, s.width};
    return {};
}

core::Tensor NewModel::make(const std::string& name, const core::Shape& shape, bool optional) {
    core::Shape given = shape;
    if (optional && !(shape.rank() > 0 && begins_with_bias(name))) given = preferred_shape(name, sizes_);
    else if (shape.rank() == 0) given = chosen_shape(name, sizes_);
    return given.rank() > 0 ? add(name, given) : core::Tensor{};
}

core::Tensor NewModel::add(const std::string& name, const core::Shape& shape) {
    tensors_.push_back({.name = name, .format = &formats::get("f32"), .type_name = "F32", .shape = shape, .bytes = static_cast<std::uint64_t>(shape.elements()) * sizeof(float)});
    return read(tensors_.back());
}

core::Tensor NewModel::read(const files::TensorInfo& tensor) const {
    const auto [it, is_new] = data_.try_emplace(tensor.name);
    if (!is_new) return it->second;
    it->second = formats::make_tensor(*tensor.format, tensor.shape);
    std::fill_n(it->second.row_f32(0), tensor.shape.elements(), 0.0f);
    return it->second;
}

std::uint64_t NewModel::bytes() const {
    std::uint64_t total = 0;
    for (const files::TensorInfo& tensor : tensors_) total += tensor.bytes;
    return total;
}

std::unique_ptr<NewModel> make_new_model(const std::string& architecture, const Sizes& sizes, const files::Metadata& more) {
    const Sizes s = completed(architecture, sizes);
    files::Metadata metadata = describe(architecture, s);
    for (const auto& [key, value] : more.entries()) {
        const bool whole = key.starts_with("general.") || key.starts_with("tokenizer.") || key.starts_with(architecture + ".");
        metadata.set(whole ? key : architecture + "." + key, value);
    }
    NewModel::Shapes beforehand{{"token_embd.weight", {s.vocabulary, s.width}}};
    for (std::int64_t i = 0; i < s.layers && s.experts > 0; ++i) beforehand["blk." + std::to_string(i) + ".ffn_gate_inp.weight"] = {s.experts, s.width};
    // The paper's form; without the norm it would still be a model that some files hold.
    for (std::int64_t i = 0; i < s.layers && architecture == "mamba2"; ++i) beforehand["blk." + std::to_string(i) + ".ssm_norm.weight"] = {s.inner};
    auto model = std::make_unique<NewModel>("a new " + architecture + " model", std::move(metadata), s, beforehand);
    // What the caller says beyond the sizes must have a meaning.
    for (const auto& [key, value] : more.entries())
        if (!key.starts_with("general.") && !key.starts_with("tokenizer.") && !model->metadata().find(key) && !model->metadata().find(architecture + "." + key))
            fail(ErrorKind::usage, "{} is no key that a {} model of these sizes reads", key, architecture);
    return model;
}

}  // namespace tailor::models
