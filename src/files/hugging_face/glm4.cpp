// Glm4ForCausalLM: norms before and after both parts of a layer, gate and up in one matrix, rotary angles on half of each head.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::glm4_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rope_base(m);
    rotary_share(m, d, "partial_rotary_factor", 0.5);
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        m.linear(n.theirs + "post_self_attn_layernorm", n.ours + "post_attention_norm");
        m.linear(n.theirs + "mlp.gate_up_proj", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.down_proj", n.ours + "ffn_down");
        m.linear(n.theirs + "post_mlp_layernorm", n.ours + "post_ffw_norm");
    }
}

static constexpr std::string_view classes[] = {"Glm4ForCausalLM"};

}  // namespace tailor::files::hugging_face::glm4_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture glm4 = {
    .classes = glm4_mapping::classes,
    .gguf = "glm4",
    .doc = "GLM 4",
    .map = &glm4_mapping::map,
    .model_type = "glm4",
};
}  // namespace tailor::files::hugging_face::entries
