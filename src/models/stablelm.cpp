// StableLM 2: Llama's layer with LayerNorm and partial rotation; the 12B model in parallel form with normalized heads.
//
// Bellagente et al., "Stable LM 2 1.6B Technical Report", 2024, section 2. Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = layer_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),               m = layer_norm(h)
// A layer without ffn_norm has both parts side by side on one norm: x + attention(n) + feed_forward(n). Where the file has
// attn_q_norm and attn_k_norm, each head of queries and keys has a LayerNorm with weights of its own.
#include "models/blocks.h"

namespace tailor::models::stablelm_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if (b.has(l.name + "attn_q_norm.weight")) h.q = b.layer_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
    if (b.has(l.name + "attn_k_norm.weight")) h.k = b.layer_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.layer_norm(x, l.name + "attn_norm", c.epsilon);
        const Value h = add(b, x, attention(b, c, l, n));
        const Value m = b.has(l.name + "ffn_norm.weight") ? b.layer_norm(h, l.name + "ffn_norm", c.epsilon) : n;
        x = add(b, h, gated_feed_forward(b, c, l, m, "silu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"stablelm"};

}  // namespace tailor::models::stablelm_family

namespace tailor::models::entries {
extern const Model stablelm = {
    .name = "stablelm",
    .architectures = stablelm_family::architectures,
    .doc = "StableLM 2: LayerNorm, partial rotation, sequential or parallel parts",
    .build = &stablelm_family::build,
};
}  // namespace tailor::models::entries
