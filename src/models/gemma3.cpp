// Gemma 3: Gemma 2 with five windowed layers to each full one and normalized queries and keys in place of soft caps.
//
// Gemma Team, "Gemma 3 Technical Report", 2025, section 2. Per layer:
//     h = x + post_norm(Wo attention(rope(norm(Wq n)), rope(norm(Wk n)), Wv n)),  n = rms_norm(x)
//     x = h + post_norm(Wdown (gelu(Wgate m) * Wup m)),                           m = rms_norm(h)
// The sixth, twelfth, ... layer sees everything, with a rotary base of 10^6 and scaled angles; the others look back over a
// window with a base of 10^4, unscaled. Queries are scaled as in Gemma 2; the 27B model has 62 layers.
#include <cmath>

#include "models/blocks.h"

namespace tailor::models::gemma3_family {

constexpr std::size_t layers_of_27b = 62;

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, std::int64_t window) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    rotate(b, c, l, h, window > 0 ? unscaled_rope(c.rope, b.real("rope.freq_base_swa", 10000)) : c.rope);
    return attend(b, c, l, h, {{"window", window}});
}

static Value build(Builder& b) {
    Config c = read_config(b, "halves");
    if (c.layers.size() == layers_of_27b && stated_factor(b, "attention.scale", 0) == 0)
        c.scale = 1 / std::sqrt(static_cast<double>(c.dim) / static_cast<double>(c.layers[0].heads));
    const std::vector<bool> windowed = windowed_layers(b, c, 6);
    const std::int64_t window = b.integer("attention.sliding_window", 0);
    Value x = scaled(b, embed(b, c), std::sqrt(static_cast<double>(c.dim)));
    for (const Layer& l : c.layers) {
        const Value mixed = attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon), windowed[static_cast<std::size_t>(l.index)] ? window : 0);
        x = add(b, x, b.rms_norm(mixed, l.name + "post_attention_norm", c.epsilon));
        const Value fed = gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "gelu");
        x = add(b, x, b.rms_norm(fed, l.name + "post_ffw_norm", c.epsilon));
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return softcapped(b, x, b.real("final_logit_softcapping", 0));
}

static constexpr std::string_view architectures[] = {"gemma3"};

}  // namespace tailor::models::gemma3_family

namespace tailor::models::entries {
extern const Model gemma3 = {
    .name = "gemma3",
    .architectures = gemma3_family::architectures,
    .doc = "Gemma 3: five windowed layers to one full, normalized queries and keys",
    .build = &gemma3_family::build,
};
}  // namespace tailor::models::entries
