// gpt-oss (20B, 120B): experts with a clamped gate, attention with sinks, and windows on every other layer.
//
// OpenAI, "gpt-oss-120b and gpt-oss-20b Model Card", 2025, section 2. Per layer, every projection with a bias:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n, sinks),  n = rms_norm(x)
//     x = h + sum of w_e expert_e(m),  m = rms_norm(h),  w = softmax over the chosen logits of Wr m + br
//     expert(m) = Wdown (g sigmoid(1.702 g) (u + 1)) + bdown,  g = min(Wgate m + bgate, 7),  u = Wup m + bup within [-7, 7]
// A sink is one more score per head in the softmax, with no value behind it (Xiao et al., "Efficient Streaming Language Models with
// Attention Sinks", 2023). Layers 0, 2, 4, ... look back over a window. Angles are scaled by YaRN. The experts travel as MXFP4.
#include "models/experts.h"

namespace tailor::models::gpt_oss_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, std::int64_t window) {
    Heads h = project_heads(b, c, l, x);
    rotate(b, c, l, h);
    const Value sinks = b.weight(l.name + "attn_sinks.weight", {l.heads});
    const Value mixed = b.graph.add("attention", {h.q, h.k, h.v, sinks}, {{"heads", l.heads}, {"kv_heads", l.kv_heads}, {"scale", c.scale}, {"window", window}},
                                    l.name + "attention");
    return b.linear(mixed, l.name + "attn_output", c.dim);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const Experts e = read_experts(b, {.scoring = "chosen", .activation = "clamped_swiglu"});
    const std::vector<bool> windowed = windowed_layers(b, c, 2);
    const std::int64_t window = b.integer("attention.sliding_window", 0);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value mixed = attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon), windowed[static_cast<std::size_t>(l.index)] ? window : 0);
        x = add(b, x, mixed);
        x = add(b, x, expert_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "post_attention_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"gpt-oss"};

}  // namespace tailor::models::gpt_oss_family

namespace tailor::models::entries {
extern const Model gpt_oss = {
    .name = "gpt-oss",
    .architectures = gpt_oss_family::architectures,
    .doc = "gpt-oss: experts with a clamped gate, attention sinks, windows on every other layer",
    .build = &gpt_oss_family::build,
};
}  // namespace tailor::models::entries
