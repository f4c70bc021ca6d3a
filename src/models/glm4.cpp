// GLM-4 (0414): norms before and after each part, partial rotation of neighbouring pairs, gate and up in one matrix.
//
// GLM Team, "ChatGLM: A Family of Large Language Models from GLM-130B to GLM-4 All Tools", 2024, section 2, and the model
// cards of GLM-4-0414. Per layer:
//     h = x + post_norm(Wo attention(rope(Wq n + bq), rope(Wk n + bk), Wv n + bv)),  n = rms_norm(x)
//     x = h + post_norm(Wdown (silu(g) * u)),                                        [g; u] = Wup rms_norm(h)
#include "models/blocks.h"

namespace tailor::models::glm4_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value mixed = rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon));
        x = add(b, x, b.rms_norm(mixed, l.name + "post_attention_norm", c.epsilon));
        const Value fed = gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu");
        x = add(b, x, b.rms_norm(fed, l.name + "post_ffw_norm", c.epsilon));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"glm4"};

}  // namespace tailor::models::glm4_family

namespace tailor::models::entries {
extern const Model glm4 = {
    .name = "glm4",
    .architectures = glm4_family::architectures,
    .doc = "GLM-4-0414: norms before and after, partial rotation, fused gate",
    .build = &glm4_family::build,
};
}  // namespace tailor::models::entries
