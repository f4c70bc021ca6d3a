// StarCoder2: rotary grouped-query attention with LayerNorm, a plain GELU feed-forward, and biases everywhere.
//
// Lozhkov et al., "StarCoder 2 and The Stack v2", 2024, section 6. Per layer:
//     h = x + Wo attention(rope(Wq n + bq), rope(Wk n + bk), Wv n + bv) + bo,  n = layer_norm(x)
//     x = h + Wdown gelu(Wup m + bup) + bdown,                                 m = layer_norm(h)
// GELU is the tanh form. Models trained with a sliding window state it in attention.sliding_window.
#include "models/blocks.h"

namespace tailor::models::starcoder2_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const ops::Attributes window{{"window", b.integer("attention.sliding_window", 0)}};
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.layer_norm(x, l.name + "attn_norm", c.epsilon), window));
        x = add(b, x, plain_feed_forward(b, c, l, b.layer_norm(x, l.name + "ffn_norm", c.epsilon), "gelu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"starcoder2"};

}  // namespace tailor::models::starcoder2_family

namespace tailor::models::entries {
extern const Model starcoder2 = {
    .name = "starcoder2",
    .architectures = starcoder2_family::architectures,
    .doc = "StarCoder2: LayerNorm, rotary grouped queries, plain GELU feed-forward",
    .build = &starcoder2_family::build,
};
}  // namespace tailor::models::entries
