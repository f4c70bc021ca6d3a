// Qwen2 and Qwen2.5: Llama's layer with biases on queries, keys and values.
//
// Yang et al., "Qwen2 Technical Report", 2024, section 2.2. Per layer:
//     h = x + Wo attention(rope(Wq n + bq), rope(Wk n + bk), Wv n + bv),  n = rms_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),                              m = rms_norm(h)
// Rotary pairs are halves of a head. Qwen2-VL and Qwen2.5-VL are the same on text: their rotation splits the pairs among time, height
// and width of an image, which are one number for a token of text (Wang et al., "Qwen2-VL", 2024, section 2.1).
#include "models/blocks.h"

namespace tailor::models::qwen2_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"qwen2", "qwen2vl"};

}  // namespace tailor::models::qwen2_family

namespace tailor::models::entries {
extern const Model qwen2 = {
    .name = "qwen2",
    .architectures = qwen2_family::architectures,
    .doc = "Qwen2 and Qwen2.5, VL too (text): Llama with biases on queries, keys and values",
    .build = &qwen2_family::build,
};
}  // namespace tailor::models::entries
