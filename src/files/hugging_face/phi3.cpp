// Phi3ForCausalLM: Llama with fused projections: q, k and v in one matrix, gate and up in another, in GGUF as well.
//
// Long contexts by two lists of divisors (LongRoPE), which become tensors.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::phi3_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rotary_share(m, d, "partial_rotary_factor", 1);
    rope(m, m.metadata().integer(m.key("rope.dimension_count"), d.head_dim));
    m.integer_if("sliding_window", "attention.sliding_window");
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        m.linear(n.theirs + "self_attn.qkv_proj", n.ours + "attn_qkv");
        m.linear(n.theirs + "self_attn.o_proj", n.ours + "attn_output");
        m.linear(n.theirs + "mlp.gate_up_proj", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.down_proj", n.ours + "ffn_down");
    }
}

static constexpr std::string_view classes[] = {"Phi3ForCausalLM"};

}  // namespace tailor::files::hugging_face::phi3_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture phi3 = {
    .classes = phi3_mapping::classes,
    .gguf = "phi3",
    .doc = "Phi 3, 3.5 and 4",
    .map = &phi3_mapping::map,
    .model_type = "phi3",
};
}  // namespace tailor::files::hugging_face::entries
