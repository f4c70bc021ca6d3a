// StableLmForCausalLM: Llama with LayerNorm and rotary angles on a part of each head.
//
// The largest model norms queries and keys with weights of each head, which are tensors of their own there.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::stablelm_mapping {

static std::vector<std::string> head_norms(const LayerNames& n, const std::string& part, std::int64_t heads) {
    std::vector<std::string> names;
    for (std::int64_t h = 0; h < heads; ++h) names.push_back(n.theirs + "self_attn." + part + "_layernorm.norms." + std::to_string(h) + ".weight");
    return names;
}

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    layer_norm_epsilon(m);
    rope_base(m);
    rotary_share(m, d, "partial_rotary_factor", 0.25);
    m.boolean("use_parallel_residual", "use_parallel_residual", false);
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        m.stack(head_norms(n, "q", d.heads), n.ours + "attn_q_norm.weight");
        m.stack(head_norms(n, "k", d.kv_heads), n.ours + "attn_k_norm.weight");
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"StableLmForCausalLM", "StableLMEpochForCausalLM"};

}  // namespace tailor::files::hugging_face::stablelm_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture stablelm = {
    .classes = stablelm_mapping::classes,
    .gguf = "stablelm",
    .doc = "StableLM",
    .map = &stablelm_mapping::map,
    .model_type = "stablelm",
};
}  // namespace tailor::files::hugging_face::entries
