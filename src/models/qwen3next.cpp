// Qwen3-Next: three layers of Gated DeltaNet to one of gated attention, with many small experts.
//
// Qwen team, "Qwen3-Next", 2025; Gated DeltaNet: Yang et al., 2024. Per layer:
//     h = x + mixer(rms_norm(x)),  mixer: gated attention in every fourth layer, else a gated delta network
//     x = h + experts(rms_norm(h)) + sigmoid(g . rms_norm(h)) * shared(rms_norm(h))
// Per key head, neighbouring value heads share query and key. attn_qkv and attn_gate hold the projections in order; older files have
// ssm_in, where the query, key, values and gates of each key head stand together, as ssm_ba does with beta and alpha.
#include "models/experts.h"
#include "models/recurrent.h"

namespace tailor::models::qwen3next_family {

// Of each key head's columns in x, the `count` from `begin` on.
static Value part(Builder& b, const StateSpace& s, Value x, std::int64_t begin, std::int64_t count) {
    return b.graph.add("columns", {x}, {{"begin", begin}, {"count", count}, {"groups", s.groups}});
}

static DeltaInputs project(Builder& b, const Layer& l, const StateSpace& s, Value x) {
    const std::int64_t share = s.step_rank / s.groups, keys = s.groups * s.state, values = s.inner / s.groups;
    DeltaInputs in{};
    const Value both = b.linear(x, l.name + "ssm_ba", 2 * s.step_rank);
    in.beta = part(b, s, both, 0, share), in.alpha = part(b, s, both, share, share);
    if (b.has(l.name + "attn_qkv.weight")) {
        in.qkv = b.linear(x, l.name + "attn_qkv", 2 * keys + s.inner);
        in.z = b.linear(x, l.name + "attn_gate", s.inner);
        return in;
    }
    const Value all = b.linear(x, l.name + "ssm_in", 2 * keys + 2 * s.inner);
    const Value qk = b.graph.add("join", {part(b, s, all, 0, s.state), part(b, s, all, s.state, s.state)});
    in.qkv = b.graph.add("join", {qk, part(b, s, all, 2 * s.state, values)});
    in.z = part(b, s, all, 2 * s.state + values, values);
    return in;
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const StateSpace s = read_state_space(b, c);
    const Experts e = read_experts(b, {.normalize = true});
    const std::vector<bool> recurrent = recurrent_layers(b, c);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.rms_norm(x, l.name + "attn_norm", c.epsilon);
        const bool delta = recurrent[static_cast<std::size_t>(l.index)];
        x = add(b, x, delta ? delta_mixer(b, c, l, s, project(b, l, s, n), "neighbours") : gated_attention(b, c, l, n), l.name + "mixer_residual");
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "post_attention_norm", c.epsilon)), l.name + "ffn_residual");
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"qwen3next"};

}  // namespace tailor::models::qwen3next_family

namespace tailor::models::entries {
extern const Model qwen3next = {
    .name = "qwen3next",
    .architectures = qwen3next_family::architectures,
    .doc = "Qwen3-Next: Gated DeltaNet with some gated attention layers and experts",
    .build = &qwen3next_family::build,
};
}  // namespace tailor::models::entries
