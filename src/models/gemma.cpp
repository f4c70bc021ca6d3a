// Gemma: Llama's layer with GeGLU, embeddings times sqrt(dim), heads wider than dim / heads, and a tied output matrix.
//
// Gemma Team, "Gemma: Open Models Based on Gemini Research and Technology", 2024, section 2. Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + Wdown (gelu(Wgate m) * Wup m),               m = rms_norm(h)
// GELU is the tanh form. The paper's norms multiply by 1 + w; files hold that sum.
#include <cmath>

#include "models/blocks.h"

namespace tailor::models::gemma_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = scaled(b, embed(b, c), std::sqrt(static_cast<double>(c.dim)));
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "gelu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"gemma"};

}  // namespace tailor::models::gemma_family

namespace tailor::models::entries {
extern const Model gemma = {
    .name = "gemma",
    .architectures = gemma_family::architectures,
    .doc = "Gemma 1: GeGLU, scaled embeddings, wide heads",
    .build = &gemma_family::build,
};
}  // namespace tailor::models::entries
