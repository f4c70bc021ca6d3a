// Gated linear attention: a decoder whose attention keeps one matrix per head instead of all that was read.
//
// Yang et al., "Gated Linear Attention Transformers with Hardware-Efficient Training", 2024, section 4. Per layer, with n = rms_norm(x):
//     q, k, v = Wq n, Wk n, Wv n,   a = sigmoid(W2 W1 n + b)^(1 / 16)
//     S = diag(a) S + k v^T,   o = S^T q / sqrt(d)                     (equation 3, per head)
//     h = x + Wo (rms_norm(o per head) * silu(Wg n)),   x = h + Wdown (silu(Wgate m) * Wup m),   m = rms_norm(h)
// Each number of a key has its own forgetting, and the 16th root lets it begin slow. There is no rotary embedding: the decay says what
// is near. No GGUF file of this architecture is in use elsewhere, so its names are Tailor's: architecture "gla"; attn_q, attn_k, attn_v,
// attn_gate, attn_output, attn_head_norm as in other families; attn_decay_a [rank, dim] and attn_decay_b [keys, rank] with its bias;
// keys gla.decay_rank (16) and gla.decay_temperature (16).
#include "models/blocks.h"

namespace tailor::models::gla_family {

static Value mix(Builder& b, const Config& c, const Layer& l, Value n) {
    graph::Graph& g = b.graph;
    const std::int64_t keys = l.heads * c.key_dim, values = l.heads * c.value_dim;
    const Value q = b.linear(n, l.name + "attn_q", keys), k = b.linear(n, l.name + "attn_k", keys), v = b.linear(n, l.name + "attn_v", values);
    const Value narrow = b.linear(n, l.name + "attn_decay_a", b.integer("decay_rank", 16));
    const Value open = b.linear(narrow, l.name + "attn_decay_b", keys);
    // log sigmoid(z) = -softplus(-z).
    const Value decay = scaled(b, g.add("softplus", {scaled(b, open, -1)}), -1 / b.real("decay_temperature", 16));
    const Value o = g.add("linear_attention", {q, k, v, decay}, {{"heads", l.heads}, {"scale", c.scale}}, l.name + "attention");
    const Value gate = g.add("silu", {b.linear(n, l.name + "attn_gate", values)});
    return b.linear(g.add("multiply", {gate, b.rms_norm(o, l.name + "attn_head_norm", c.epsilon, c.value_dim)}, {}, l.name + "attn_gated"), l.name + "attn_output", c.dim);
}

static Value build(Builder& b) {
    const Config c = read_config(b);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, mix(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"gla"};

}  // namespace tailor::models::gla_family

namespace tailor::models::entries {
extern const Model gla = {
    .name = "gla",
    .architectures = gla_family::architectures,
    .doc = "gated linear attention: a matrix of memory per head that forgets by what it reads",
    .build = &gla_family::build,
};
}  // namespace tailor::models::entries
