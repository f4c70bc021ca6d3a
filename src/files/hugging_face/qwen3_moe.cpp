// Qwen3MoeForCausalLM: Qwen 3 with experts, whose weights are normed to a sum of 1.
#include "core/error.h"
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::qwen3_moe_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m, true);
    rms_epsilon(m);
    rope(m, d.head_dim);
    const std::int64_t count = m.integer("num_experts", "expert_count");
    m.integer("num_experts_per_tok", "expert_used_count");
    m.integer("moe_intermediate_size", "expert_feed_forward_length");
    m.set_member("hidden_act", "silu");
    m.set_member("norm_topk_prob", true);
    if (const core::Json* const normed = m.member("norm_topk_prob"); m.reading() && normed && !normed->boolean())
        core::fail(core::ErrorKind::unsupported, "norm_topk_prob is false; GGUF's qwen3moe has no such setting");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        query_key_norms(m, n);
        m.linear(n.theirs + "mlp.gate", n.ours + "ffn_gate_inp", exact());
        experts(m, n, count);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"Qwen3MoeForCausalLM"};

}  // namespace tailor::files::hugging_face::qwen3_moe_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture qwen3_moe = {
    .classes = qwen3_moe_mapping::classes,
    .gguf = "qwen3moe",
    .doc = "Qwen 3 with experts",
    .map = &qwen3_moe_mapping::map,
    .model_type = "qwen3_moe",
};
}  // namespace tailor::files::hugging_face::entries
