// Jamba: Mamba layers with an attention layer now and then, and experts in some feed-forward parts.
//
// Lieber et al., "Jamba: A Hybrid Transformer-Mamba Language Model", 2024, section 2. Per layer:
//     h = x + mixer(rms_norm(x)),  mixer: attention without positional embedding where the layer has kv heads, else Mamba
//     x = h + ffn(rms_norm(h)),    ffn: SwiGLU, or the two best of several experts
// Mamba's dt, B and C are normalized with weights. Order comes from the recurrent layers, so attention rotates nothing.
#include "models/experts.h"
#include "models/recurrent.h"

namespace tailor::models::jamba_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const StateSpace s = read_state_space(b, c);
    const Experts e = read_experts(b);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.rms_norm(x, l.name + "attn_norm", c.epsilon);
        x = add(b, x, l.kv_heads > 0 ? attend(b, c, l, project_heads(b, c, l, n)) : mamba_mixer(b, c, l, s, n), l.name + "mixer_residual");
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)), l.name + "ffn_residual");
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"jamba"};

}  // namespace tailor::models::jamba_family

namespace tailor::models::entries {
extern const Model jamba = {
    .name = "jamba",
    .architectures = jamba_family::architectures,
    .doc = "Jamba: Mamba with some attention layers and experts",
    .build = &jamba_family::build,
};
}  // namespace tailor::models::entries
