// MPT: biases by distance (ALiBi) or learned positions, clipped queries, keys and values, LayerNorm mostly without biases.
//
// MosaicML, "Introducing MPT-7B", 2023; Press et al., "Train Short, Test Long", 2022. Per layer:
//     h = x + Wo attention(q, k, v),    [q; k; v] = clamp(Wqkv n, +-clamp_kqv),  n = layer_norm(x)
//     x = h + Wdown gelu(Wup m),        m = layer_norm(h)
// Where the file has attn_q_norm and attn_k_norm, queries and keys have a LayerNorm over all heads. The models were trained
// with GELU in its erf form; GGUF runtimes compute the tanh form, at most 5e-4 away, and so does this file.
#include "models/blocks.h"

namespace tailor::models::mpt_family {

static Value clipped(Builder& b, Value x, double limit) { return limit > 0 ? b.graph.add("clamp", {x}, {{"limit", limit}}) : x; }

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    const double limit = b.real("attention.clamp_kqv", 0);
    Heads h = project_heads(b, c, l, x);
    h = {clipped(b, h.q, limit), clipped(b, h.k, limit), clipped(b, h.v, limit)};
    if (b.has(l.name + "attn_q_norm.weight")) h.q = b.layer_norm(h.q, l.name + "attn_q_norm", c.epsilon);
    if (b.has(l.name + "attn_k_norm.weight")) h.k = b.layer_norm(h.k, l.name + "attn_k_norm", c.epsilon);
    return attend(b, c, l, h, {{"alibi", b.real("attention.max_alibi_bias", 0)}});
}

static Value build(Builder& b) {
    const Config c = read_config(b);
    Value x = embed(b, c);
    if (b.has("position_embd.weight")) x = add(b, x, embed_positions(b, c));
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, l, b.layer_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, plain_feed_forward(b, c, l, b.layer_norm(x, l.name + "ffn_norm", c.epsilon), "gelu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"mpt"};

}  // namespace tailor::models::mpt_family

namespace tailor::models::entries {
extern const Model mpt = {
    .name = "mpt",
    .architectures = mpt_family::architectures,
    .doc = "MPT: biases by distance, clipped queries, keys and values, GELU",
    .build = &mpt_family::build,
};
}  // namespace tailor::models::entries
