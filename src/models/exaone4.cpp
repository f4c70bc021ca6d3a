// EXAONE 4: norms after each part instead of before, queries and keys normalized per head, windows on three of four layers.
//
// LG AI Research, "EXAONE 4.0", 2025, section 2. Per layer:
//     h = x + rms_norm(Wo attention(rope(rms_norm(Wq x)), rope(rms_norm(Wk x)), Wv x))
//     x = h + rms_norm(Wdown (silu(Wgate h) * Wup h))
// With attention.sliding_window (32B) the last layer of each four sees everything and is not turned by position; without it
// (1.2B) all layers are full and turned.
#include "models/blocks.h"

namespace tailor::models::exaone4_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, std::int64_t window, bool turned) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    if (turned) rotate(b, c, l, h);
    return attend(b, c, l, h, {{"window", window}});
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const std::vector<bool> windowed = windowed_layers(b, c, 4);
    const std::int64_t window = b.integer("attention.sliding_window", 0);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const bool looks_back = window > 0 && windowed[static_cast<std::size_t>(l.index)];
        const Value mixed = attention(b, c, l, x, looks_back ? window : 0, looks_back || window == 0);
        x = add(b, x, b.rms_norm(mixed, l.name + "post_attention_norm", c.epsilon));
        x = add(b, x, b.rms_norm(gated_feed_forward(b, c, l, x, "silu"), l.name + "post_ffw_norm", c.epsilon));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"exaone4"};

}  // namespace tailor::models::exaone4_family

namespace tailor::models::entries {
extern const Model exaone4 = {
    .name = "exaone4",
    .architectures = exaone4_family::architectures,
    .doc = "EXAONE 4: norms after each part, normalized heads, optional windows",
    .build = &exaone4_family::build,
};
}  // namespace tailor::models::entries
