// Granite 3: Llama's layer with four constants: on embeddings, attention scores, residual branches and logits.
//
// IBM Research, "Granite 3.0 Language Models", 2024, section 3; the constants follow Yang et al., "Tensor Programs V", 2022.
//     x = embedding_scale * E[token]
//     h = x + residual_scale * Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + residual_scale * Wdown (silu(Wgate m) * Wup m),               m = rms_norm(h)
//     logits = Wout rms_norm(x) / logit_scale
// Scores are multiplied by attention.scale. rope.scaling.finetuned = false stands for models without rotary embedding.
#include "models/blocks.h"

namespace tailor::models::granite_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if (b.boolean("rope.scaling.finetuned", true)) rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const double residual = stated_factor(b, "residual_scale");
    Value x = scaled(b, embed(b, c), stated_factor(b, "embedding_scale"));
    for (const Layer& l : c.layers) {
        x = add(b, x, scaled(b, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)), residual));
        x = add(b, x, scaled(b, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"), residual));
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return scaled(b, x, 1 / stated_factor(b, "logit_scale"));
}

static constexpr std::string_view architectures[] = {"granite"};

}  // namespace tailor::models::granite_family

namespace tailor::models::entries {
extern const Model granite = {
    .name = "granite",
    .architectures = granite_family::architectures,
    .doc = "Granite 3: Llama with scaled embeddings, residuals, scores and logits",
    .build = &granite_family::build,
};
}  // namespace tailor::models::entries
