// MiniCPM: Llama's layer with scaled embeddings, residual branches and logits.
//
// Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models", 2024, appendix A (after Yang et al., "Tensor
// Programs V", 2022).
//     x = embedding_scale * E[token]
//     h = x + residual_scale * Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + residual_scale * Wdown (silu(Wgate m) * Wup m),               m = rms_norm(h)
//     logits = Wout rms_norm(x) / logit_scale
// Files without these keys are older than the keys and mean the paper's 12, 1.4 / sqrt(layers) and dim / 256.
#include <cmath>

#include "models/blocks.h"

namespace tailor::models::minicpm_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const double residual = stated_factor(b, "residual_scale", 1.4 / std::sqrt(static_cast<double>(c.layers.size())));
    Value x = scaled(b, embed(b, c), stated_factor(b, "embedding_scale", 12));
    for (const Layer& l : c.layers) {
        x = add(b, x, scaled(b, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)), residual));
        x = add(b, x, scaled(b, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"), residual));
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return scaled(b, x, 1 / stated_factor(b, "logit_scale", static_cast<double>(c.dim) / 256));
}

static constexpr std::string_view architectures[] = {"minicpm"};

}  // namespace tailor::models::minicpm_family

namespace tailor::models::entries {
extern const Model minicpm = {
    .name = "minicpm",
    .architectures = minicpm_family::architectures,
    .doc = "MiniCPM: Llama with scaled embeddings, residuals and logits",
    .build = &minicpm_family::build,
};
}  // namespace tailor::models::entries
