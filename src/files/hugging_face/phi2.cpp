// PhiForCausalLM: attention and feed-forward side by side behind one LayerNorm, rotary angles on a part of each head.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::phi2_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    layer_norm_epsilon(m);
    rope_base(m);
    rotary_share(m, d, "partial_rotary_factor", 0.5);
    m.set_member("hidden_act", "gelu_new");
    m.tensor("model.embed_tokens.weight", "token_embd.weight");
    m.linear("model.final_layernorm", "output_norm");
    output(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        m.linear(n.theirs + "input_layernorm", n.ours + "attn_norm");
        attention(m, n, d);
        m.linear(n.theirs + "self_attn.dense", n.ours + "attn_output");
        m.linear(n.theirs + "mlp.fc1", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.fc2", n.ours + "ffn_down");
    }
}

static constexpr std::string_view classes[] = {"PhiForCausalLM"};

}  // namespace tailor::files::hugging_face::phi2_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture phi2 = {
    .classes = phi2_mapping::classes,
    .gguf = "phi2",
    .doc = "Phi 1, 1.5 and 2",
    .map = &phi2_mapping::map,
    .model_type = "phi",
};
}  // namespace tailor::files::hugging_face::entries
