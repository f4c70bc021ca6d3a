// GPT-2: learned position embeddings, LayerNorm before each part, one matrix for queries, keys and values, GELU.
//
// Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3. Per layer:
//     h = x + Wo attention(Wqkv n) + bo,            n = layer_norm(x)
//     x = h + Wdown gelu(Wup m + bup) + bdown,      m = layer_norm(h)
// x begins as the sum of a token's and a position's embedding. GELU is the tanh form; every matrix has a bias.
#include "models/blocks.h"

namespace tailor::models::gpt2_family {

static Value build(Builder& b) {
    const Config c = read_config(b);
    Value x = add(b, embed(b, c), embed_positions(b, c));
    for (const Layer& l : c.layers) {
        x = add(b, x, attend(b, c, l, project_heads(b, c, l, b.layer_norm(x, l.name + "attn_norm", c.epsilon))));
        x = add(b, x, plain_feed_forward(b, c, l, b.layer_norm(x, l.name + "ffn_norm", c.epsilon), "gelu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"gpt2"};

}  // namespace tailor::models::gpt2_family

namespace tailor::models::entries {
extern const Model gpt2 = {
    .name = "gpt2",
    .architectures = gpt2_family::architectures,
    .doc = "GPT-2: learned positions, LayerNorm, GELU",
    .build = &gpt2_family::build,
};
}  // namespace tailor::models::entries
