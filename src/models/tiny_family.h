// A small model of any family, made by asking the family: each tensor is made when it is asked for (Weights::make_missing), as for models
// that are trained from nothing (models/new_model.h).
//
// The metadata below answers what families read. So a new family is covered by
// every test that goes through all_tiny_families() as soon as its file exists, unless it needs a key that no other family has: then
// those tests fail and name the key, which is added to `describe`. Values are uniform, scaled so that each product keeps the size of
// its input, and depend on the names of tensors only.
#pragma once
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/hash.h"
#include "files/file.h"
#include "formats/registry.h"
#include "models/registry.h"

namespace tailor::models::testing {

/// The same family may hold different parts: no more than it must; a router in every layer; layers 0 and 2 without keys and values,
/// which is how hybrid files mark the layers of their other kind.
enum class Parts { least, experts, hybrid };

inline std::string name(Parts parts) { return parts == Parts::least ? "least" : parts == Parts::experts ? "experts" : "hybrid"; }

class TinyFamily : public files::File {
  public:
    static constexpr std::int64_t dim = 64, ffn = 96, vocabulary = 96, layers = 4, experts = 4, context = 64;

    TinyFamily(const std::string& architecture, Parts parts) {
        path_ = architecture + " with " + name(parts) + ".gguf";
        metadata_.set_text("general.architecture", architecture);
        describe(architecture + ".", parts);
        add("token_embd.weight", {vocabulary, dim});
        if (architecture == "bert") add("position_embd.weight", {context, dim}), add("token_types.weight", {2, dim});
        for (std::int64_t i = 0; i < layers && parts == Parts::experts; ++i) add("blk." + std::to_string(i) + ".ffn_gate_inp.weight", {experts, dim});
    }

    core::Tensor read(const files::TensorInfo& tensor) const override { return data_.at(tensor.name); }
    std::uint64_t bytes() const override { return 0; }

    /// Makes a tensor that the family asks for: of this shape, or of its own where that has rank 0; an empty tensor if it has none.
    core::Tensor make(const std::string& tensor, const core::Shape& shape) {
        const core::Shape given = shape.rank() > 0 ? shape : chosen_shape(tensor);
        if (given.rank() > 0) add(tensor, given);
        return given.rank() > 0 ? data_.at(tensor) : core::Tensor{};
    }

  private:
    void describe(const std::string& prefix, Parts parts) {
        const auto set = [&](const char* key, std::int64_t value) { metadata_.set_integer(prefix + key, value); };
        set("block_count", layers);
        set("context_length", context);
        set("embedding_length", dim);
        set("feed_forward_length", ffn);
        set("attention.head_count", 4);
        if (parts == Parts::hybrid) metadata_.set_integers(prefix + "attention.head_count_kv", {0, 2, 0, 2});
        else set("attention.head_count_kv", 2);
        for (const char* const epsilon : {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"}) metadata_.set_real(prefix + epsilon, 1e-5);
        set("rope.dimension_count", 8);
        set("attention.sliding_window", 5);
        set("attention.relative_buckets_count", 16);
        set("attention.kv_lora_rank", 32);
        set("wkv.head_size", 16);
        set("shortconv.l_cache", 3);
        set("ssm.conv_kernel", 4);
        set("ssm.inner_size", 128);
        set("ssm.state_size", 16);
        set("ssm.time_step_rank", 8);
        set("ssm.group_count", 2);
        if (parts == Parts::experts) set("expert_count", experts), set("expert_used_count", 2);
    }

    // Tensors whose size is theirs to say.
    static core::Shape chosen_shape(const std::string& tensor) {
        if (tensor == "position_embd.weight") return {context, dim};
        if (tensor.ends_with("ffn_up_exps.weight")) return {experts, 32, dim};
        if (tensor.ends_with("ffn_gate_up_exps.weight")) return {experts, 64, dim};
        if (tensor.ends_with("1.weight")) return {160, dim};  // the narrow side of low-rank mixers, five of which may share one tensor
        return {};
    }

    void add(const std::string& name, core::Shape shape) {
        core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
        const std::int64_t width = shape.width();
        const bool vector = shape.rows() == 1 && name.ends_with(".weight"), decay = name.ends_with("ssm_a");
        const double middle = decay ? -0.6 : vector ? 1 : 0, reach = decay || vector ? 0.3 : std::sqrt(3.0 / static_cast<double>(width));
        std::uint64_t state = core::hash64(name);
        for (std::int64_t i = 0; i < shape.elements(); ++i) {
            state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
            const double uniform = static_cast<double>(state >> 11) * 0x1p-52 - 1;
            tensor.row_f32(0)[i] = static_cast<float>(middle + reach * uniform);
        }
        const auto bytes = static_cast<std::uint64_t>(shape.elements()) * sizeof(float);
        tensors_.push_back({.name = name, .format = tensor.format, .type_name = "F32", .shape = shape, .bytes = bytes});
        data_[name] = std::move(tensor);
    }

    std::map<std::string, core::Tensor> data_;
};

/// A model of this architecture with these parts. Throws what the family says if it cannot have them.
inline std::unique_ptr<TinyFamily> make_tiny_family(const std::string& architecture, Parts parts) {
    auto model = std::make_unique<TinyFamily>(architecture, parts);
    const Model& family = family_of(*model);
    Weights weights(*model);
    weights.make_missing([&](const std::string& tensor, const core::Shape& shape, bool optional) { return optional ? core::Tensor{} : model->make(tensor, shape); });
    if (family.build_encoder) build_encoder(family, weights, 4);
    build(family, weights, 4, 4);
    return model;
}

struct TinyKind {
    std::string architecture;
    Parts parts;
};
inline void PrintTo(const TinyKind& kind, std::ostream* out) { *out << kind.architecture << " with " << name(kind.parts); }
inline std::string test_name(const TinyKind& kind) {
    std::string text = kind.architecture + "_" + name(kind.parts);
    for (char& c : text)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    return text;
}

/// Every architecture of every family with all parts that it can have.
inline std::vector<TinyKind> all_tiny_families() {
    std::vector<TinyKind> kinds;
    for (const Model* const family : all())
        for (const std::string_view architecture : family->architectures)
            for (const Parts parts : {Parts::least, Parts::experts, Parts::hybrid}) {
                try {
                    make_tiny_family(std::string(architecture), parts);
                    kinds.push_back({std::string(architecture), parts});
                } catch (const core::Error&) {
                }
            }
    return kinds;
}

}  // namespace tailor::models::testing
