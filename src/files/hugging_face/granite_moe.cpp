// GraniteMoeForCausalLM and GraniteMoeSharedForCausalLM: Granite with experts.
//
// All experts lie in one tensor, and gate and up in one matrix of it, gate first.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::granite_moe_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    stated_sizes(m, d);
    rope(m, d.head_dim);
    granite_scales(m);
    m.integer("num_local_experts", "expert_count");
    m.integer("num_experts_per_tok", "expert_used_count");
    const std::int64_t shared = m.integer_if("shared_intermediate_size", "expert_shared_feed_forward_length").value_or(0);
    if (shared > 0) m.set_member("architectures", core::Json::Array{core::Json("GraniteMoeSharedForCausalLM")});
    m.set_member("hidden_act", "silu");
    const std::int64_t ffn = m.metadata().integer(m.key("feed_forward_length"));
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d, true);
        m.linear(n.theirs + "block_sparse_moe.router.layer", n.ours + "ffn_gate_inp", exact());
        m.cut(n.theirs + "block_sparse_moe.input_linear.weight", {n.ours + "ffn_gate_exps.weight", n.ours + "ffn_up_exps.weight"}, {ffn, ffn});
        m.linear(n.theirs + "block_sparse_moe.output_linear", n.ours + "ffn_down_exps");
        m.cut(n.theirs + "shared_mlp.input_linear.weight", {n.ours + "ffn_gate_shexp.weight", n.ours + "ffn_up_shexp.weight"}, {shared, shared});
        m.linear(n.theirs + "shared_mlp.output_linear", n.ours + "ffn_down_shexp");
    }
}

static constexpr std::string_view classes[] = {"GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"};

}  // namespace tailor::files::hugging_face::granite_moe_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture granite_moe = {
    .classes = granite_moe_mapping::classes,
    .gguf = "granitemoe",
    .doc = "Granite 3 with experts",
    .map = &granite_moe_mapping::map,
    .model_type = "granitemoe",
};
}  // namespace tailor::files::hugging_face::entries
