// Falcon-H1: attention and Mamba-2 side by side in every layer.
//
// Zuo et al., "Falcon-H1: A Family of Hybrid-Head Language Models", 2025, section 2. Per layer:
//     h = x + attention(n) + mamba2(n),  n = rms_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),  m = rms_norm(h)
// The maximal-update multipliers of the paper are folded into the weights of GGUF files. Converters write the second norm
// without the usual suffix ".weight".
#include "models/recurrent.h"

namespace tailor::models::falcon_h1_family {

static Value second_norm(Builder& b, const Config& c, const Layer& l, Value x) {
    if (b.has(l.name + "ffn_norm.weight")) return b.rms_norm(x, l.name + "ffn_norm", c.epsilon);
    return b.graph.add("rms_norm", {x, b.weight(l.name + "ffn_norm", {c.dim})}, {{"epsilon", c.epsilon}}, l.name + "ffn_normed");
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const StateSpace s = read_state_space(b, c);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.rms_norm(x, l.name + "attn_norm", c.epsilon);
        Heads h = project_heads(b, c, l, n);
        rotate(b, c, l, h);
        x = add(b, x, add(b, attend(b, c, l, h), mamba2_mixer(b, c, l, s, n)), l.name + "mixer_residual");
        x = add(b, x, gated_feed_forward(b, c, l, second_norm(b, c, l, x), "silu"), l.name + "ffn_residual");
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"falcon-h1"};

}  // namespace tailor::models::falcon_h1_family

namespace tailor::models::entries {
extern const Model falcon_h1 = {
    .name = "falcon-h1",
    .architectures = falcon_h1_family::architectures,
    .doc = "Falcon-H1: attention and Mamba-2 in parallel",
    .build = &falcon_h1_family::build,
};
}  // namespace tailor::models::entries
