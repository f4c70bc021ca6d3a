// Phi-1, Phi-1.5 and Phi-2: attention and feed-forward side by side on one LayerNorm, partial rotation, biases everywhere.
//
// Gunasekar et al., "Textbooks Are All You Need", 2023, and Microsoft's model card of Phi-2. Per layer:
//     x = x + attention(n) + Wdown gelu(Wup n + bup) + bdown,  n = layer_norm(x)
// GELU is the tanh form. The output matrix has a bias.
#include "models/blocks.h"

namespace tailor::models::phi2_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.layer_norm(x, l.name + "attn_norm", c.epsilon);
        x = add(b, add(b, x, rotary_attention(b, c, l, n)), plain_feed_forward(b, c, l, n, "gelu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"phi2"};

}  // namespace tailor::models::phi2_family

namespace tailor::models::entries {
extern const Model phi2 = {
    .name = "phi2",
    .architectures = phi2_family::architectures,
    .doc = "Phi-1, 1.5 and 2: attention and feed-forward in parallel on one norm",
    .build = &phi2_family::build,
};
}  // namespace tailor::models::entries
