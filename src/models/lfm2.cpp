// LFM2: gated short convolutions, with an attention layer now and then.
//
// Liquid AI, "LFM2 Technical Report", 2025, section 2. Per layer:
//     h = x + mixer(rms_norm(x)),  x = h + ffn(rms_norm(h))
// where the mixer is attention with normalized queries and keys if the layer has kv heads, and else
//     b, c, u = Win n;  Wout (c * conv(b * u))
// with a convolution over shortconv.l_cache rows. lfm2moe has experts in all but its first layers, chosen by sigmoid scores plus a
// bias. The last norm is stored as token_embd_norm, from the files' first days.
#include "core/error.h"
#include "models/experts.h"

namespace tailor::models::lfm2_family {

static Value convolution(Builder& b, const Config& c, const Layer& l, Value x) {
    const std::int64_t taps = b.integer("shortconv.l_cache");
    const Value all = b.linear(x, l.name + "shortconv.in_proj", 3 * c.dim);
    const Value gated = b.graph.add("multiply", {columns(b, all, 0, c.dim), columns(b, all, 2 * c.dim, c.dim)});
    const std::string name = l.name + "shortconv.conv";
    const Value mixed = b.graph.add("short_conv", {gated, b.weight_as(name + ".weight", {c.dim, taps}), b.optional_weight(name + ".bias", {c.dim})}, {}, name);
    return b.linear(b.graph.add("multiply", {columns(b, all, c.dim, c.dim), mixed}, {}, l.name + "shortconv.gated"), l.name + "shortconv.out_proj", c.dim);
}

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const Experts e = read_experts(b, {.scoring = "sigmoid", .normalize = true});
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.rms_norm(x, l.name + "attn_norm", c.epsilon);
        x = add(b, x, l.kv_heads > 0 ? attention(b, c, l, n) : convolution(b, c, l, n), l.name + "mixer_residual");
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)), l.name + "ffn_residual");
    }
    const std::string last = b.has("token_embd_norm.weight") ? "token_embd_norm" : "output_norm";
    return logits(b, c, b.rms_norm(wanted_rows(b, x), last, c.epsilon));
}

static constexpr std::string_view architectures[] = {"lfm2", "lfm2moe"};

}  // namespace tailor::models::lfm2_family

namespace tailor::models::entries {
extern const Model lfm2 = {
    .name = "lfm2",
    .architectures = lfm2_family::architectures,
    .doc = "LFM2 with and without experts: gated short convolutions and some attention layers",
    .build = &lfm2_family::build,
};
}  // namespace tailor::models::entries
