// Qwen3-MoE (30B-A3B, 235B-A22B): Qwen3 with a mixture of experts.
//
// Yang et al., "Qwen3 Technical Report", 2025, section 2: 8 of 128 experts, none shared. Per layer:
//     h = x + Wo attention(rope(rms_norm(Wq n)), rope(rms_norm(Wk n)), Wv n),  n = rms_norm(x)
//     x = h + sum of w_e expert_e(m),  m = rms_norm(h),  w = softmax(Wr m) of the chosen, normalized
#include "models/experts.h"

namespace tailor::models::qwen3moe_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const Experts e = read_experts(b, {.normalize = true});
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"qwen3moe", "qwen3vlmoe"};

}  // namespace tailor::models::qwen3moe_family

namespace tailor::models::entries {
extern const Model qwen3moe = {
    .name = "qwen3moe",
    .architectures = qwen3moe_family::architectures,
    .doc = "Qwen3 with experts: 30B-A3B, 235B-A22B, Coder, VL (text)",
    .build = &qwen3moe_family::build,
};
}  // namespace tailor::models::entries
