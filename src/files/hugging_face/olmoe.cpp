// OlmoeForCausalLM: experts, with norms of whole queries and keys.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::olmoe_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rope(m, d.head_dim);
    const std::int64_t count = m.integer("num_experts", "expert_count");
    m.integer("num_experts_per_tok", "expert_used_count");
    m.real_if("clip_qkv", "attention.clamp_kqv");
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        query_key_norms(m, n);
        m.linear(n.theirs + "mlp.gate", n.ours + "ffn_gate_inp", exact());
        experts(m, n, count);
    }
}

static constexpr std::string_view classes[] = {"OlmoeForCausalLM"};

}  // namespace tailor::files::hugging_face::olmoe_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture olmoe = {
    .classes = olmoe_mapping::classes,
    .gguf = "olmoe",
    .doc = "OLMoE",
    .map = &olmoe_mapping::map,
    .model_type = "olmoe",
    .defaults = R"({"rms_norm_eps": 1e-5})",
};
}  // namespace tailor::files::hugging_face::entries
