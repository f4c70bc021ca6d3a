// Command R: attention and a gated feed-forward side by side on one LayerNorm without bias, logits times a constant.
//
// Cohere's model cards of Command R and Command R+, 2024; the parallel form is of Wang and Komatsuzaki, "GPT-J-6B", 2021.
//     x = x + Wo attention(rope(Wq n), rope(Wk n), Wv n) + Wdown (silu(Wgate n) * Wup n),  n = layer_norm(x)
//     logits = logit_scale * E layer_norm(x)
// In Command R+ each head of queries and keys has a LayerNorm with weights of its own.
#include "models/blocks.h"

namespace tailor::models::command_r_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if (b.has(l.name + "attn_q_norm.weight")) {
        h.q = b.layer_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
        h.k = b.layer_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    }
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.layer_norm(x, l.name + "attn_norm", c.epsilon);
        x = add(b, add(b, x, attention(b, c, l, n)), gated_feed_forward(b, c, l, n, "silu"));
    }
    x = logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return scaled(b, x, stated_factor(b, "logit_scale"));
}

static constexpr std::string_view architectures[] = {"command-r"};

}  // namespace tailor::models::command_r_family

namespace tailor::models::entries {
extern const Model command_r = {
    .name = "command-r",
    .architectures = command_r_family::architectures,
    .doc = "Command R and R+: parallel parts on one LayerNorm, scaled logits",
    .build = &command_r_family::build,
};
}  // namespace tailor::models::entries
