// Qwen2MoeForCausalLM: Qwen 2 with experts, and beside them one shared expert with a gate of its own.
//
// The gate of the shared expert is a single row there and a vector here.
#include "core/error.h"
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::qwen2_moe_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rope(m, d.head_dim);
    const std::int64_t count = m.integer("num_experts", "expert_count");
    m.integer("num_experts_per_tok", "expert_used_count");
    m.integer("moe_intermediate_size", "expert_feed_forward_length");
    m.integer("shared_expert_intermediate_size", "expert_shared_feed_forward_length");
    m.set_member("hidden_act", "silu");
    m.set_member("norm_topk_prob", false);
    if (const core::Json* const normed = m.member("norm_topk_prob"); m.reading() && normed && normed->boolean())
        core::fail(core::ErrorKind::unsupported, "norm_topk_prob is true; GGUF's qwen2moe has no such setting");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        m.linear(n.theirs + "mlp.gate", n.ours + "ffn_gate_inp", exact());
        experts(m, n, count);
        m.linear(n.theirs + "mlp.shared_expert.gate_proj", n.ours + "ffn_gate_shexp");
        m.linear(n.theirs + "mlp.shared_expert.up_proj", n.ours + "ffn_up_shexp");
        m.linear(n.theirs + "mlp.shared_expert.down_proj", n.ours + "ffn_down_shexp");
        m.linear(n.theirs + "mlp.shared_expert_gate", n.ours + "ffn_gate_inp_shexp", reshaped({1, d.dim}, {d.dim}));
    }
}

static constexpr std::string_view classes[] = {"Qwen2MoeForCausalLM"};

}  // namespace tailor::files::hugging_face::qwen2_moe_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture qwen2_moe = {
    .classes = qwen2_moe_mapping::classes,
    .gguf = "qwen2moe",
    .doc = "Qwen 1.5 and 2 with experts",
    .map = &qwen2_moe_mapping::map,
    .model_type = "qwen2_moe",
};
}  // namespace tailor::files::hugging_face::entries
