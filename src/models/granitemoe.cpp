// Granite 3 with experts (1B-A400M, 3B-A800M, and 4.0 Tiny's attention form with a shared expert).
//
// IBM Research, "Granite 3.0 Language Models", 2024, section 3: Granite's four constants (granite.cpp) around a mixture of experts:
//     x = embedding_scale * E[token]
//     h = x + residual_scale * Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + residual_scale * (sum of w_e expert_e(m) + shared(m)),        m = rms_norm(h)
//     logits = Wout rms_norm(x) / logit_scale
// The softmax is over the chosen experts, which is softmax over all of them, normalized.
#include "models/experts.h"

namespace tailor::models::granitemoe_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if (b.boolean("rope.scaling.finetuned", true)) rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const Experts e = read_experts(b, {.normalize = true});
    const double residual = b.real("residual_scale", 1);
    Value x = scaled(b, embed(b, c), b.real("embedding_scale", 1));
    for (const Layer& l : c.layers) {
        x = add(b, x, scaled(b, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)), residual));
        x = add(b, x, scaled(b, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)), residual));
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return scaled(b, x, 1 / b.real("logit_scale", 1));
}

static constexpr std::string_view architectures[] = {"granitemoe"};

}  // namespace tailor::models::granitemoe_family

namespace tailor::models::entries {
extern const Model granitemoe = {
    .name = "granitemoe",
    .architectures = granitemoe_family::architectures,
    .doc = "Granite 3 with experts: scaled embeddings, residuals, scores and logits",
    .build = &granitemoe_family::build,
};
}  // namespace tailor::models::entries
