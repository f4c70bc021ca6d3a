// Qwen3: Llama's layer with queries and keys normalized per head.
//
// Yang et al., "Qwen3 Technical Report", 2025, section 2. Per layer:
//     h = x + Wo attention(rope(rms_norm(Wq n)), rope(rms_norm(Wk n)), Wv n),  n = rms_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),                                   m = rms_norm(h)
// The norms of queries and keys are over each head, with weights that all heads share (Dehghani et al., "Scaling Vision
// Transformers to 22 Billion Parameters", 2023, section 2); heads may be wider than dim / heads. Qwen3-VL is the same on text, as its
// rotation by time, height and width has one number for all three there.
#include "models/blocks.h"

namespace tailor::models::qwen3_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"qwen3", "qwen3vl"};

}  // namespace tailor::models::qwen3_family

namespace tailor::models::entries {
extern const Model qwen3 = {
    .name = "qwen3",
    .architectures = qwen3_family::architectures,
    .doc = "Qwen3 and Qwen3-VL (text): Llama with queries and keys normalized per head",
    .build = &qwen3_family::build,
};
}  // namespace tailor::models::entries
