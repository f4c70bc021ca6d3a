// Llama: a decoder of RMSNorm, rotary grouped-query attention and SwiGLU layers.
//
// Touvron et al., "LLaMA", 2023; grouped queries from Llama 2; long contexts by linear or YaRN scaling of the rotary
// angles, or by Llama 3.1's per-pair divisors (tensor rope_freqs.weight). Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),               m = rms_norm(h)
// GGUF stores Wq and Wk permuted so that rotary pairs are neighbours. Every projection may have a bias; the output
// matrix may be the embedding (tied). Mistral, SmolLM, TinyLlama and Yi use this architecture name too.
#include <cmath>

#include "core/error.h"
#include "models/model.h"

namespace tailor::models::llama_family {

struct Config {
    std::int64_t dim, layers, heads, kv_heads, key_dim, value_dim, ffn, vocabulary;
    double epsilon, scale;
    ops::Attributes rope;
};

static Config read(const Builder& b) {
    Config c{};
    c.dim = b.integer("embedding_length");
    c.layers = b.integer("block_count");
    c.heads = b.integer("attention.head_count");
    c.kv_heads = b.integer("attention.head_count_kv", c.heads);
    if (c.dim <= 0 || c.layers <= 0 || c.heads <= 0 || c.kv_heads <= 0 || c.layers > 10000)
        core::fail(core::ErrorKind::format, "llama.embedding_length, block_count and attention.head_count must be positive");
    if (b.integer("expert_count", 0) > 0) core::fail(core::ErrorKind::unsupported, "llama models with experts (llama.expert_count) are not supported");
    c.key_dim = b.integer("attention.key_length", c.dim / c.heads);
    c.value_dim = b.integer("attention.value_length", c.dim / c.heads);
    c.ffn = b.integer("feed_forward_length");
    c.epsilon = b.real("attention.layer_norm_rms_epsilon");
    c.scale = b.real("attention.scale", 0);
    if (c.scale == 0) c.scale = 1 / std::sqrt(static_cast<double>(c.key_dim));
    c.vocabulary = b.integer("vocab_size", static_cast<std::int64_t>(b.metadata.texts("tokenizer.ggml.tokens").size()));

    const std::string_view scaling = b.word("rope.scaling.type", "none");
    if (scaling != "none" && scaling != "linear" && scaling != "yarn")
        core::fail(core::ErrorKind::unsupported, "llama.rope.scaling.type '{}' is not supported; there are none, linear and yarn", scaling);
    c.rope = {{"head_dim", c.key_dim},
              {"rotated", b.integer("rope.dimension_count", c.key_dim)},
              {"base", b.real("rope.freq_base", 10000)},
              {"layout", std::string("interleaved")},
              {"scaling", std::string(scaling)},
              {"factor", scaling == "none" ? 1.0 : b.real("rope.scaling.factor", 1)},
              {"original_context", b.integer("rope.scaling.original_context_length", b.integer("context_length"))},
              {"attention_factor", b.real("rope.scaling.attn_factor", 1)},
              {"beta_fast", b.real("rope.scaling.yarn_beta_fast", 32)},
              {"beta_slow", b.real("rope.scaling.yarn_beta_slow", 1)}};
    return c;
}

static Value attention(Builder& b, const Config& c, Value x, const std::string& layer) {
    graph::Graph& g = b.graph;
    const Value divisors = b.optional_weight("rope_freqs.weight", {c.rope.integer("rotated") / 2});
    const Value q = g.add("rope", {b.linear(x, layer + "attn_q", c.heads * c.key_dim), b.positions, divisors}, c.rope, layer + "rope_q");
    const Value k = g.add("rope", {b.linear(x, layer + "attn_k", c.kv_heads * c.key_dim), b.positions, divisors}, c.rope, layer + "rope_k");
    const Value v = b.linear(x, layer + "attn_v", c.kv_heads * c.value_dim);
    const Value mixed = g.add("attention", {q, k, v}, {{"heads", c.heads}, {"kv_heads", c.kv_heads}, {"scale", c.scale}}, layer + "attention");
    return b.linear(mixed, layer + "attn_output", c.dim);
}

static Value feed_forward(Builder& b, const Config& c, Value x, const std::string& layer) {
    const Value gate = b.graph.add("silu", {b.linear(x, layer + "ffn_gate", c.ffn)});
    const Value up = b.linear(x, layer + "ffn_up", c.ffn);
    return b.linear(b.graph.add("multiply", {gate, up}, {}, layer + "ffn_act"), layer + "ffn_down", c.dim);
}

static Value build(Builder& b) {
    const Config c = read(b);
    graph::Graph& g = b.graph;
    const Value embedding = b.weight("token_embd.weight", {c.vocabulary, c.dim});
    Value x = g.add("gather", {embedding, b.token_ids}, {}, "token_embd");
    for (std::int64_t i = 0; i < c.layers; ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        x = g.add("add", {x, attention(b, c, b.rms_norm(x, layer + "attn_norm", c.epsilon), layer)}, {}, layer + "attn_residual");
        x = g.add("add", {x, feed_forward(b, c, b.rms_norm(x, layer + "ffn_norm", c.epsilon), layer)}, {}, layer + "ffn_residual");
    }
    x = b.rms_norm(g.add("gather", {x, b.wanted}, {}, "wanted"), "output_norm", c.epsilon);
    if (b.has("output.weight")) return b.linear(x, "output", c.vocabulary);
    return g.add("matmul", {x, embedding}, {}, "output");
}

static constexpr std::string_view architectures[] = {"llama"};

}  // namespace tailor::models::llama_family

namespace tailor::models::entries {
extern const Model llama = {
    .name = "llama",
    .architectures = llama_family::architectures,
    .doc = "Llama 1 to 3, Mistral, TinyLlama, SmolLM, Yi: RMSNorm, rotary grouped-query attention, SwiGLU",
    .build = &llama_family::build,
};
}  // namespace tailor::models::entries
