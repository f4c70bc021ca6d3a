// Reading of the common configuration and the parts of layers; see blocks.h.
#include "models/blocks.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace tailor::models {

using core::ErrorKind;
using core::fail;

// More layers or wider than any model; a corrupt file must not ask for terabytes.
constexpr std::int64_t most_layers = 10000, most_width = 1 << 24;

static std::int64_t sane(std::int64_t value, std::string_view name) {
    if (value < 0 || value > most_width) fail(ErrorKind::format, "{} is {}; it must lie between 0 and {}", name, value, most_width);
    return value;
}

static std::vector<Layer> read_layers(const Builder& b) {
    const std::int64_t count = b.integer("block_count");
    if (count <= 0 || count > most_layers) fail(ErrorKind::format, "block_count is {}; it must lie between 1 and {}", count, most_layers);
    const std::vector<std::int64_t> heads = b.integers("attention.head_count", count, 0), ffn = b.integers("feed_forward_length", count, 0);
    const std::vector<std::int64_t> kv_heads = b.integers("attention.head_count_kv", count, -1);
    std::vector<Layer> layers;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto n = static_cast<std::size_t>(i);
        Layer l{.index = i, .name = "blk." + std::to_string(i) + "."};
        l.heads = sane(heads[n], "attention.head_count");
        l.kv_heads = sane(kv_heads[n] == -1 ? l.heads : kv_heads[n], "attention.head_count_kv");
        l.ffn = sane(ffn[n], "feed_forward_length");
        if (l.kv_heads > 0 && l.heads % l.kv_heads != 0)
            fail(ErrorKind::format, "layer {} has {} attention heads over {} kv heads, which is no whole share", i, l.heads, l.kv_heads);
        layers.push_back(std::move(l));
    }
    return layers;
}

Config read_config(const Builder& b, std::string_view pairs) {
    Config c;
    c.dim = sane(b.integer("embedding_length"), "embedding_length");
    c.layers = read_layers(b);
    std::int64_t heads = 0;
    for (const Layer& l : c.layers) heads = std::max(heads, l.heads);
    if (c.dim == 0) fail(ErrorKind::format, "embedding_length must be positive");
    const std::int64_t share = heads > 0 ? c.dim / heads : 0;
    c.key_dim = sane(b.integer("attention.key_length", share), "attention.key_length");
    c.value_dim = sane(b.integer("attention.value_length", share), "attention.value_length");
    if (heads > 0 && (c.key_dim == 0 || c.value_dim == 0)) fail(ErrorKind::format, "{} attention heads in an embedding_length of {} have no width", heads, c.dim);
    const double rms_epsilon = b.real("attention.layer_norm_rms_epsilon", -1);
    c.epsilon = rms_epsilon >= 0 ? rms_epsilon : b.real("attention.layer_norm_epsilon");
    c.scale = stated_factor(b, "attention.scale", c.key_dim > 0 ? 1 / std::sqrt(static_cast<double>(c.key_dim)) : 1);
    c.vocabulary = b.rows_of("token_embd.weight");
    if (c.key_dim > 0 && !pairs.empty()) c.rope = read_rope(b, c.key_dim, pairs);
    return c;
}

ops::Attributes read_rope(const Builder& b, std::int64_t head_dim, std::string_view pairs) {
    const double factor = b.real("rope.scaling.factor", b.real("rope.scale_linear", 0));
    // Files from before the type was written hold a factor only, and mean linear scaling.
    const std::string_view scaling = b.word("rope.scaling.type", factor > 0 ? "linear" : "none");
    if (scaling != "none" && scaling != "linear" && scaling != "yarn" && scaling != "longrope")
        fail(ErrorKind::unsupported, "rope.scaling.type '{}' is not supported; there are none, linear, yarn and longrope", scaling);
    // LongRoPE scales by its divisors alone.
    const bool by_factor = scaling == "linear" || scaling == "yarn";
    return {{"head_dim", head_dim},
            {"rotated", b.integer("rope.dimension_count", head_dim)},
            {"base", b.real("rope.freq_base", 10000)},
            {"layout", std::string(pairs)},
            {"scaling", std::string(by_factor ? scaling : "none")},
            {"factor", by_factor && factor > 0 ? factor : 1.0},
            {"original_context", b.integer("rope.scaling.original_context_length", b.integer("context_length", 0))},
            {"attention_factor", b.real("rope.scaling.attn_factor", 1) * b.real("rope.scaling.yarn_attn_factor", 1)},
            {"beta_fast", b.real("rope.scaling.yarn_beta_fast", 32)},
            {"beta_slow", b.real("rope.scaling.yarn_beta_slow", 1)}};
}

ops::Attributes unscaled_rope(ops::Attributes rope, double base) {
    rope.set("base", base);
    rope.set("scaling", std::string("none"));
    rope.set("factor", 1.0);
    rope.set("attention_factor", 1.0);
    return rope;
}

std::vector<bool> windowed_layers(const Builder& b, const Config& c, std::int64_t period) {
    const auto count = static_cast<std::int64_t>(c.layers.size());
    const std::vector<std::int64_t> stated = b.integers("attention.sliding_window_pattern", count, period);
    const bool is_array = b.is_array("attention.sliding_window_pattern");
    std::vector<bool> windowed;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t value = stated[static_cast<std::size_t>(i)];
        windowed.push_back(is_array ? value != 0 : value <= 0 || i % value < value - 1);
    }
    return windowed;
}

double stated_factor(const Builder& b, std::string_view key, double fallback) {
    const double factor = b.real(key, fallback);
    return factor == 0 ? fallback : factor;
}

Value add(Builder& b, Value x, Value y, const std::string& name) { return b.graph.add("add", {x, y}, {}, name); }
Value scaled(Builder& b, Value x, double factor) { return factor == 1 ? x : b.graph.add("scale", {x}, {{"factor", factor}}); }
Value softcapped(Builder& b, Value x, double cap) { return cap == 0 ? x : b.graph.add("softcap", {x}, {{"cap", cap}}); }

Value columns(Builder& b, Value x, std::int64_t begin, std::int64_t count) {
    return b.graph.add("columns", {x}, {{"begin", begin}, {"count", count}});
}

Value embed(Builder& b, const Config& c) {
    return b.graph.add("gather", {b.weight("token_embd.weight", {c.vocabulary, c.dim}), b.token_ids}, {}, "token_embd");
}

Value embed_positions(Builder& b, const Config& c) {
    const std::int64_t places = b.rows_of("position_embd.weight");
    if (b.context > places)
        fail(ErrorKind::usage, "a context of {} tokens is longer than the {} positions this model has learned (position_embd.weight)", b.context, places);
    return b.graph.add("gather", {b.weight("position_embd.weight", {places, c.dim}), b.positions}, {}, "position_embd");
}

Value wanted_rows(Builder& b, Value x) { return b.graph.add("gather", {x, b.wanted}, {}, "wanted"); }

Value logits(Builder& b, const Config& c, Value x) {
    if (b.has("output.weight")) return b.linear(x, "output", c.vocabulary);
    const Value embedding = b.weight("token_embd.weight", {c.vocabulary, c.dim});
    return b.graph.add("matmul", {x, embedding, b.optional_weight("output.bias", {c.vocabulary})}, {}, "output");
}

static void require_heads(const Layer& l) {
    if (l.heads == 0 || l.kv_heads == 0)
        fail(ErrorKind::unsupported, "layer {} has {} attention heads and {} kv heads; only the deci family has layers without attention", l.index,
             l.heads, l.kv_heads);
}

Heads project_heads(Builder& b, const Config& c, const Layer& l, Value x) {
    require_heads(l);
    const std::int64_t q = l.heads * c.key_dim, k = l.kv_heads * c.key_dim, v = l.kv_heads * c.value_dim;
    if (!b.has(l.name + "attn_qkv.weight")) return {b.linear(x, l.name + "attn_q", q), b.linear(x, l.name + "attn_k", k), b.linear(x, l.name + "attn_v", v)};
    const Value all = b.linear(x, l.name + "attn_qkv", q + k + v);
    return {columns(b, all, 0, q), columns(b, all, q, k), columns(b, all, q + k, v)};
}

Value rope_divisors(Builder& b, const ops::Attributes& rope) {
    const core::Shape shape{rope.integer("rotated") / 2};
    const Value always = b.optional_weight("rope_freqs.weight", shape);
    const Value within = b.optional_weight("rope_factors_short.weight", shape), beyond = b.optional_weight("rope_factors_long.weight", shape);
    if (always != graph::absent) return always;
    return b.context > rope.integer("original_context") ? beyond : within;
}

void rotate(Builder& b, const Config&, const Layer& l, Heads& h, const ops::Attributes& rope) {
    const Value divisors = rope_divisors(b, rope);
    h.q = b.graph.add("rope", {h.q, b.positions, divisors}, rope, l.name + "rope_q");
    h.k = b.graph.add("rope", {h.k, b.positions, divisors}, rope, l.name + "rope_k");
}

Value mix_heads(Builder& b, const Config& c, const Layer& l, const Heads& h, const ops::Attributes& extra) {
    ops::Attributes attributes{{"heads", l.heads}, {"kv_heads", l.kv_heads}, {"scale", c.scale}};
    for (const auto& [name, value] : extra.entries()) attributes.set(name, value);
    return b.graph.add("attention", {h.q, h.k, h.v}, attributes, l.name + "attention");
}

Value attend(Builder& b, const Config& c, const Layer& l, const Heads& h, const ops::Attributes& extra) {
    return b.linear(mix_heads(b, c, l, h, extra), l.name + "attn_output", c.dim);
}

Value rotary_attention(Builder& b, const Config& c, const Layer& l, Value x, const ops::Attributes& extra) {
    Heads h = project_heads(b, c, l, x);
    rotate(b, c, l, h);
    return attend(b, c, l, h, extra);
}

Value gated_feed_forward(Builder& b, const Config& c, const Layer& l, Value x, std::string_view activation) {
    Value gate = graph::absent, up = graph::absent;
    if (b.has(l.name + "ffn_gate.weight")) {
        gate = b.linear(x, l.name + "ffn_gate", l.ffn);
        up = b.linear(x, l.name + "ffn_up", l.ffn);
    } else {
        const Value both = b.linear(x, l.name + "ffn_up", 2 * l.ffn);
        gate = columns(b, both, 0, l.ffn), up = columns(b, both, l.ffn, l.ffn);
    }
    gate = b.graph.add(activation, {gate});
    return b.linear(b.graph.add("multiply", {gate, up}, {}, l.name + "ffn_act"), l.name + "ffn_down", c.dim);
}

Value plain_feed_forward(Builder& b, const Config& c, const Layer& l, Value x, std::string_view activation) {
    const Value up = b.graph.add(activation, {b.linear(x, l.name + "ffn_up", l.ffn)}, {}, l.name + "ffn_act");
    return b.linear(up, l.name + "ffn_down", c.dim);
}

}  // namespace tailor::models
