// Hand-made models for tests of families: a few tensors in memory, whose values depend on their names only, so that two
// files of different families with tensors of the same names hold the same weights.
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/hash.h"
#include "files/file.h"
#include "formats/registry.h"
#include "graph/plan.h"
#include "models/registry.h"
#include "ops/registry.h"

namespace tailor::models::testing {

/// The sizes of every tiny model.
inline constexpr std::int64_t dim = 32, heads = 4, kv_heads = 2, head_dim = 8, ffn = 48, vocabulary = 40, rows = 9;

class TinyModel : public files::File {
  public:
    /// A model of `layers` Llama-shaped layers under another architecture's name; `change` what differs.
    explicit TinyModel(const std::string& architecture, std::int64_t layers = 4) : architecture_(architecture) {
        path_ = architecture + ".gguf";
        metadata_.set_text("general.architecture", architecture);
        set("block_count", layers);
        set("context_length", std::int64_t{64});
        set("embedding_length", dim);
        set("feed_forward_length", ffn);
        set("attention.head_count", heads);
        set("attention.head_count_kv", kv_heads);
        set("attention.layer_norm_rms_epsilon", 1e-5);
        add("token_embd.weight", {vocabulary, dim});
        add("output_norm.weight", {dim});
        for (std::int64_t i = 0; i < layers; ++i) {
            const std::string layer = "blk." + std::to_string(i) + ".";
            for (const char* const norm : {"attn_norm", "ffn_norm"}) add(layer + norm + ".weight", {dim});
            add(layer + "attn_q.weight", {heads * head_dim, dim});
            for (const char* const part : {"attn_k", "attn_v"}) add(layer + part + ".weight", {kv_heads * head_dim, dim});
            add(layer + "attn_output.weight", {dim, heads * head_dim});
            for (const char* const part : {"ffn_gate", "ffn_up"}) add(layer + part + ".weight", {ffn, dim});
            add(layer + "ffn_down.weight", {dim, ffn});
        }
    }

    core::Tensor read(const files::TensorInfo& tensor) const override { return data_.at(tensor.name); }
    std::uint64_t bytes() const override { return 0; }

    /// Sets "<architecture>.<key>".
    void set(const std::string& key, std::int64_t value) { metadata_.set_integer(architecture_ + "." + key, value); }
    void set(const std::string& key, double value) { metadata_.set_real(architecture_ + "." + key, value, files::MetaType::f64); }
    void set(const std::string& key, std::vector<std::int64_t> values) { metadata_.set_integers(architecture_ + "." + key, std::move(values)); }
    files::Metadata& metadata() { return metadata_; }
    using files::File::metadata;

    /// Adds a tensor whose values follow from its name: vectors near 1, matrices of both signs.
    core::Tensor add(const std::string& name, core::Shape shape) {
        core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
        const auto seed = static_cast<double>(core::hash64(name) % 1000);
        for (std::int64_t i = 0; i < shape.elements(); ++i) {
            const double wave = std::sin(seed + 1.7 * static_cast<double>(i) + 0.01 * static_cast<double>(i * i % 97));
            tensor.row_f32(0)[i] = static_cast<float>(shape.rank() == 1 ? 1 + 0.3 * wave : 0.4 * wave);
        }
        put(name, tensor);
        return tensor;
    }
    void put(const std::string& name, core::Tensor tensor) {
        remove(name);
        const auto bytes = static_cast<std::uint64_t>(tensor.shape.elements() * 4);
        tensors_.push_back({.name = name, .format = tensor.format, .type_name = "F32", .shape = tensor.shape, .bytes = bytes});
        data_[name] = std::move(tensor);
    }
    core::Tensor at(const std::string& name) const { return data_.at(name); }
    void remove(const std::string& name) {
        tensors_.erase(std::remove_if(tensors_.begin(), tensors_.end(), [&](const auto& t) { return t.name == name; }), tensors_.end());
    }
    /// The tensor "blk.<i>.<name>" of every layer, added or removed.
    void add_to_layers(const std::string& name, core::Shape shape) {
        for (std::int64_t i = 0; i < layers(); ++i) add("blk." + std::to_string(i) + "." + name, shape);
    }
    void remove_from_layers(const std::string& name) {
        for (std::int64_t i = 0; i < layers(); ++i) remove("blk." + std::to_string(i) + "." + name);
    }
    std::int64_t layers() const { return metadata_.integer(architecture_ + ".block_count"); }

  private:
    std::string architecture_;
    std::map<std::string, core::Tensor> data_;
};

/// Rows of `parts` one below the other.
inline core::Tensor stacked(const std::vector<core::Tensor>& parts) {
    std::int64_t count = 0;
    for (const core::Tensor& part : parts) count += part.shape[0];
    core::Tensor all = formats::make_tensor(formats::get("f32"), {count, parts[0].shape.width()});
    float* to = all.row_f32(0);
    for (const core::Tensor& part : parts) to = std::copy(part.row_f32(0), part.row_f32(0) + part.shape.elements(), to);
    return all;
}

inline graph::Graph graph_of(const TinyModel& model, std::int64_t context = 0) {
    const Weights weights(model);
    return build(family_of(model), weights, rows, rows, context);
}

/// Logits of `rows` fixed tokens, one row after the other, by every operator's reference.
inline std::vector<float> logits_of(const TinyModel& model, std::int64_t context = 0) {
    const Weights weights(model);
    core::Pool pool(1);
    graph::Plan plan(build(family_of(model), weights, rows, rows, context), pool, {.use_reference = true, .state = {.context = rows}});
    std::vector<core::Tensor> states;
    for (const graph::Plan::StateSlot& slot : plan.state_slots()) states.push_back(slot.make(1));
    const core::Tensor arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
    std::vector<std::int32_t> ids, positions, sequences(rows);
    for (std::int32_t r = 0; r < rows; ++r) ids.push_back(r * 7 % static_cast<std::int32_t>(vocabulary)), positions.push_back(r);
    plan.set_input("token_ids", ids.data());
    plan.set_input("positions", positions.data());
    plan.set_input("wanted_rows", positions.data());
    plan.bind(arena.data, states);
    plan.run({sequences, positions});
    return {plan.output().row_f32(0), plan.output().row_f32(0) + plan.output().shape.elements()};
}

/// Largest difference as a share of the largest value.
inline double difference(const std::vector<float>& a, const std::vector<float>& b) {
    double worst = a.size() == b.size() ? 0 : 1e9, largest = 0;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
        largest = std::max(largest, static_cast<double>(std::fabs(a[i])));
        const double d = std::fabs(static_cast<double>(a[i]) - b[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst / largest;
}

/// One character per layer, from the node `name` of the layer: the attribute "window" of attention as a digit, for instance.
inline std::string windows_of(const TinyModel& model) {
    const graph::Graph g = graph_of(model);
    std::string text;
    for (std::int64_t i = 0; i < model.layers(); ++i)
        text += std::to_string(g.node(g.find("blk." + std::to_string(i) + ".attention")).attributes.integer("window", 0));
    return text;
}

/// "r" for layers whose queries are turned by position, "-" for the others.
inline std::string rotations_of(const TinyModel& model) {
    const graph::Graph g = graph_of(model);
    std::string text;
    for (std::int64_t i = 0; i < model.layers(); ++i) text += g.find("blk." + std::to_string(i) + ".rope_q") == graph::absent ? '-' : 'r';
    return text;
}

inline int count_nodes(const graph::Graph& g, std::string_view op) {
    return static_cast<int>(std::count_if(g.nodes().begin(), g.nodes().end(), [&](const graph::Node& n) { return n.op && n.op->name == op; }));
}

}  // namespace tailor::models::testing
