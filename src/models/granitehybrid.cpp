// Granite 4 hybrid: Mamba-2 layers with an attention layer now and then, experts, and Granite's constants.
//
// IBM Research, Granite 4.0 model cards, 2025; the constants as in granite.cpp. Per layer:
//     h = x + residual_scale * mixer(rms_norm(x)),  mixer: attention where the layer has kv heads, else Mamba-2
//     x = h + residual_scale * ffn(rms_norm(h)),    ffn: experts with a shared one, or SwiGLU
// Attention has no rotary embedding where rope.scaling.finetuned is false, as converters write for hybrids. Bamba, which has
// one, uses this architecture name too.
#include "models/experts.h"
#include "models/recurrent.h"

namespace tailor::models::granitehybrid_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if (b.boolean("rope.scaling.finetuned", true)) rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const StateSpace s = read_state_space(b, c);
    const Experts e = read_experts(b, {.normalize = true});
    const double residual = b.real("residual_scale", 1);
    Value x = scaled(b, embed(b, c), b.real("embedding_scale", 1));
    for (const Layer& l : c.layers) {
        const Value n = b.rms_norm(x, l.name + "attn_norm", c.epsilon);
        x = add(b, x, scaled(b, l.kv_heads > 0 ? attention(b, c, l, n) : mamba2_mixer(b, c, l, s, n), residual), l.name + "mixer_residual");
        x = add(b, x, scaled(b, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)), residual), l.name + "ffn_residual");
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return scaled(b, x, 1 / b.real("logit_scale", 1));
}

static constexpr std::string_view architectures[] = {"granitehybrid"};

}  // namespace tailor::models::granitehybrid_family

namespace tailor::models::entries {
extern const Model granitehybrid = {
    .name = "granitehybrid",
    .architectures = granitehybrid_family::architectures,
    .doc = "Granite 4 hybrids, Bamba: Mamba-2 with some attention layers, with or without experts",
    .build = &granitehybrid_family::build,
};
}  // namespace tailor::models::entries
