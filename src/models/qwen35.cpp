// Qwen3.5: three layers of Gated DeltaNet to one of gated attention, dense or with experts.
//
// Qwen team, "Qwen3.5", 2026: the layers of Qwen3-Next (qwen3next.cpp) with projections of their own for beta and alpha, and value heads
// stored so that every groups-th one shares a query and key. For text the rotary embedding's sections all hold the same position,
// which makes it the plain one. Layers beyond the stack that predict further tokens (nextn_predict_layers) are left out.
#include "models/experts.h"
#include "models/recurrent.h"

namespace tailor::models::qwen35_family {

static DeltaInputs project(Builder& b, const Layer& l, const StateSpace& s, Value x) {
    return {b.linear(x, l.name + "attn_qkv", 2 * s.groups * s.state + s.inner), b.linear(x, l.name + "attn_gate", s.inner),
            b.linear(x, l.name + "ssm_beta", s.step_rank), b.linear(x, l.name + "ssm_alpha", s.step_rank)};
}

static Value build(Builder& b) {
    Config c = read_config(b, "halves");
    const StateSpace s = read_state_space(b, c);
    const Experts e = read_experts(b, {.normalize = true});
    const std::vector<bool> recurrent = recurrent_layers(b, c);
    for (std::int64_t beyond = b.integer("nextn_predict_layers", 0); beyond > 0 && c.layers.size() > 1; --beyond) {
        b.leave_out(c.layers.back().name);
        c.layers.pop_back();
    }
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.rms_norm(x, l.name + "attn_norm", c.epsilon);
        const bool delta = recurrent[static_cast<std::size_t>(l.index)];
        x = add(b, x, delta ? delta_mixer(b, c, l, s, project(b, l, s, n), "tiled") : gated_attention(b, c, l, n), l.name + "mixer_residual");
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "post_attention_norm", c.epsilon)), l.name + "ffn_residual");
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"qwen35", "qwen35moe"};

}  // namespace tailor::models::qwen35_family

namespace tailor::models::entries {
extern const Model qwen35 = {
    .name = "qwen35",
    .architectures = qwen35_family::architectures,
    .doc = "Qwen3.5 and Qwen3.6: Gated DeltaNet with some gated attention layers",
    .build = &qwen35_family::build,
};
}  // namespace tailor::models::entries
