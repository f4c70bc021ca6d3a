// OLMo 2 and OLMo 3: norms after each part instead of before, queries and keys normalized over all heads at once.
//
// OLMo Team, "2 OLMo 2 Furious", 2024, section 2; sliding windows: "OLMo 3", 2025. Per layer:
//     h = x + rms_norm(Wo attention(rope(rms_norm(Wq x)), rope(rms_norm(Wk x)), Wv x))
//     x = h + rms_norm(Wdown (silu(Wgate h) * Wup h))
// With attention.sliding_window three of four layers look back over a window, without scaling of their rotary angles; every
// fourth sees everything.
#include "models/blocks.h"

namespace tailor::models::olmo2_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, std::int64_t window) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon);
    rotate(b, c, l, h, window > 0 ? unscaled_rope(c.rope, b.real("rope.freq_base_swa", c.rope.real("base"))) : c.rope);
    return attend(b, c, l, h, {{"window", window}});
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const std::vector<bool> windowed = windowed_layers(b, c, 4);
    const std::int64_t window = b.integer("attention.sliding_window", 0);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value mixed = attention(b, c, l, x, windowed[static_cast<std::size_t>(l.index)] ? window : 0);
        x = add(b, x, b.rms_norm(mixed, l.name + "post_attention_norm", c.epsilon));
        x = add(b, x, b.rms_norm(gated_feed_forward(b, c, l, x, "silu"), l.name + "post_ffw_norm", c.epsilon));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"olmo2"};

}  // namespace tailor::models::olmo2_family

namespace tailor::models::entries {
extern const Model olmo2 = {
    .name = "olmo2",
    .architectures = olmo2_family::architectures,
    .doc = "OLMo 2 and 3: norms after each part, queries and keys normalized, optional windows",
    .build = &olmo2_family::build,
};
}  // namespace tailor::models::entries
