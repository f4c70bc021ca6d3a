// BLOOM: biases by distance (ALiBi) in place of position embeddings, a LayerNorm after the embedding, GELU.
//
// BigScience, "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model", 2022, section 3.2; Press et al., "Train
// Short, Test Long", 2022. Per layer:
//     h = x + Wo attention(Wqkv n) + bo,          n = layer_norm(x)
//     x = h + Wdown gelu(Wup m + bup) + bdown,    m = layer_norm(h)
// A score is lowered by its head's slope times the distance; the slopes begin at 2^(-8 / heads). GELU is the tanh form.
#include "models/blocks.h"

namespace tailor::models::bloom_family {

constexpr double most_bias = 8;

static Value build(Builder& b) {
    const Config c = read_config(b);
    Value x = b.layer_norm(embed(b, c), "token_embd_norm", c.epsilon);
    for (const Layer& l : c.layers) {
        const Heads h = project_heads(b, c, l, b.layer_norm(x, l.name + "attn_norm", c.epsilon));
        x = add(b, x, attend(b, c, l, h, {{"alibi", most_bias}}));
        x = add(b, x, plain_feed_forward(b, c, l, b.layer_norm(x, l.name + "ffn_norm", c.epsilon), "gelu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"bloom"};

}  // namespace tailor::models::bloom_family

namespace tailor::models::entries {
extern const Model bloom = {
    .name = "bloom",
    .architectures = bloom_family::architectures,
    .doc = "BLOOM: biases by distance, LayerNorm on embeddings, GELU",
    .build = &bloom_family::build,
};
}  // namespace tailor::models::entries
