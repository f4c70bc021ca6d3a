// GLM-4.5 to 4.7 with experts: partly rotated attention, a shared expert, the first layers plain.
//
// GLM-4.5 Team, "GLM-4.5: Agentic, Reasoning, and Coding Foundation Models", 2025, section 2.1. Per layer:
//     h = x + Wo attention(rope(q), rope(k), Wv n + bv),  q = Wq n + bq, k = Wk n + bk, each normalized per head in the large model
//     x = h + sum of w_e expert_e(m) + shared(m),  m = rms_norm(h),  w = sigmoid(Wr m) of the chosen
// Files say whether the weights are normalized and by what they are scaled. The choice is moved by a bias per expert (DeepSeek-V3).
// The first `leading_dense_block_count` layers have a plain feed-forward part; the last `nextn_predict_layers` predict further
// tokens for speculation and are left out here.
#include "models/experts.h"

namespace tailor::models::glm4moe_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if (b.has(l.name + "attn_q_norm.weight")) {
        h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon, c.key_dim);
        h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon, c.key_dim);
    }
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const Experts e = read_experts(b, {.scoring = "sigmoid"});
    const std::int64_t speculative = b.integer("nextn_predict_layers", 0), layers = static_cast<std::int64_t>(c.layers.size()) - speculative;
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        if (l.index >= layers) {
            b.leave_out(l.name);
            continue;
        }
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "post_attention_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"glm4moe"};

}  // namespace tailor::models::glm4moe_family

namespace tailor::models::entries {
extern const Model glm4moe = {
    .name = "glm4moe",
    .architectures = glm4moe_family::architectures,
    .doc = "GLM-4.5 to 4.7: partly rotated attention, experts chosen with a bias, a shared expert",
    .build = &glm4moe_family::build,
};
}  // namespace tailor::models::entries
