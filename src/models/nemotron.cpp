// Nemotron-4 and Minitron: LayerNorm, partial rotation, and a plain feed-forward with squared ReLU.
//
// Parmar et al., "Nemotron-4 15B Technical Report", 2024, section 2; Muralidharan et al., "Compact Language Models via
// Pruning and Knowledge Distillation", 2024. Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = layer_norm(x)
//     x = h + Wdown max(Wup m, 0)^2,                       m = layer_norm(h)
// The norms multiply by 1 + w; files hold that sum.
#include "models/blocks.h"

namespace tailor::models::nemotron_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.layer_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, plain_feed_forward(b, c, l, b.layer_norm(x, l.name + "ffn_norm", c.epsilon), "relu_squared"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"nemotron"};

}  // namespace tailor::models::nemotron_family

namespace tailor::models::entries {
extern const Model nemotron = {
    .name = "nemotron",
    .architectures = nemotron_family::architectures,
    .doc = "Nemotron-4, Minitron: LayerNorm, partial rotation, squared ReLU",
    .build = &nemotron_family::build,
};
}  // namespace tailor::models::entries
