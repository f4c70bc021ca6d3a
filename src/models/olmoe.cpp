// OLMoE: Llama's layer with queries and keys normalized whole, and a mixture of experts.
//
// Muennighoff et al., "OLMoE: Open Mixture-of-Experts Language Models", 2024, section 3: 8 of 64 experts, dropless. Per layer:
//     h = x + Wo attention(rope(rms_norm(Wq n)), rope(rms_norm(Wk n)), Wv n),  n = rms_norm(x)
//     x = h + sum of w_e expert_e(m),  m = rms_norm(h),  w = softmax(Wr m) of the chosen, not normalized
// The norms of queries and keys are over all heads together.
#include "models/experts.h"

namespace tailor::models::olmoe_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    h.q = b.rms_norm(h.q, l.name + "attn_q_norm", c.epsilon);
    h.k = b.rms_norm(h.k, l.name + "attn_k_norm", c.epsilon);
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const Experts e = read_experts(b);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, expert_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"olmoe"};

}  // namespace tailor::models::olmoe_family

namespace tailor::models::entries {
extern const Model olmoe = {
    .name = "olmoe",
    .architectures = olmoe_family::architectures,
    .doc = "OLMoE: Llama with normalized queries and keys, and experts",
    .build = &olmoe_family::build,
};
}  // namespace tailor::models::entries
