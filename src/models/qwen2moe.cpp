// Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B-A14B): Qwen2 with a mixture of experts and a gated shared expert.
//
// Yang et al., "Qwen2 Technical Report", 2024, section 2.2.2; fine-grained experts as in DeepSeekMoE. Per layer:
//     h = x + Wo attention(rope(Wq n + bq), rope(Wk n + bk), Wv n + bv),  n = rms_norm(x)
//     x = h + sum of w_e expert_e(m) + sigmoid(g m) shared(m),            m = rms_norm(h),  w = softmax(Wr m) of the chosen
// The weights of the chosen experts are not normalized, so they sum to less than 1.
#include "models/experts.h"

namespace tailor::models::qwen2moe_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const Experts e = read_experts(b);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, expert_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"qwen2moe"};

}  // namespace tailor::models::qwen2moe_family

namespace tailor::models::entries {
extern const Model qwen2moe = {
    .name = "qwen2moe",
    .architectures = qwen2moe_family::architectures,
    .doc = "Qwen1.5-MoE, Qwen2-57B-A14B: Qwen2 with experts and a gated shared expert",
    .build = &qwen2moe_family::build,
};
}  // namespace tailor::models::entries
