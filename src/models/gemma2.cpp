// Gemma 2: Gemma with norms before and after each part, sliding windows on every other layer, and soft caps on logits.
//
// Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, section 2. Per layer:
//     h = x + post_norm(Wo attention(rope(Wq n), rope(Wk n), Wv n)),  n = rms_norm(x)
//     x = h + post_norm(Wdown (gelu(Wgate m) * Wup m)),               m = rms_norm(h)
// Scores s become cap * tanh(s / cap) before the softmax, and so do the output's logits. Layers 0, 2, 4, ... look back over
// a window. Queries are scaled by 1 / sqrt(head width), in the 27B model (46 layers) by 1 / sqrt(dim / heads).
#include <cmath>

#include "models/blocks.h"

namespace tailor::models::gemma2_family {

constexpr std::size_t layers_of_27b = 46;

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, std::int64_t window) {
    Heads h = project_heads(b, c, l, x);
    rotate(b, c, l, h);
    return attend(b, c, l, h, {{"window", window}, {"softcap", b.real("attn_logit_softcapping", 50)}});
}

static Value build(Builder& b) {
    Config c = read_config(b, "halves");
    if (c.layers.size() == layers_of_27b && stated_factor(b, "attention.scale", 0) == 0)
        c.scale = 1 / std::sqrt(static_cast<double>(c.dim) / static_cast<double>(c.layers[0].heads));
    const std::vector<bool> windowed = windowed_layers(b, c, 2);
    const std::int64_t window = b.integer("attention.sliding_window", 4096);
    Value x = scaled(b, embed(b, c), std::sqrt(static_cast<double>(c.dim)));
    for (const Layer& l : c.layers) {
        const Value mixed = attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon), windowed[static_cast<std::size_t>(l.index)] ? window : 0);
        x = add(b, x, b.rms_norm(mixed, l.name + "post_attention_norm", c.epsilon));
        const Value fed = gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "gelu");
        x = add(b, x, b.rms_norm(fed, l.name + "post_ffw_norm", c.epsilon));
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return softcapped(b, x, b.real("final_logit_softcapping", 30));
}

static constexpr std::string_view architectures[] = {"gemma2"};

}  // namespace tailor::models::gemma2_family

namespace tailor::models::entries {
extern const Model gemma2 = {
    .name = "gemma2",
    .architectures = gemma2_family::architectures,
    .doc = "Gemma 2: norms before and after, alternating windows, soft caps",
    .build = &gemma2_family::build,
};
}  // namespace tailor::models::entries
