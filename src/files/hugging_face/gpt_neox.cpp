// GPTNeoXForCausalLM: attention and feed-forward side by side, rotary angles on a part of each head.
//
// q, k and v of one head lie together there; here all of q come before all of k and v.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::gpt_neox_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    layer_norm_epsilon(m);
    rotary_share(m, d, "rotary_pct", 0.25);
    m.boolean("use_parallel_residual", "use_parallel_residual", true);
    m.set_member("hidden_act", "gelu");
    m.tensor("gpt_neox.embed_in.weight", "token_embd.weight");
    m.linear("gpt_neox.final_layer_norm", "output_norm");
    output(m, "embed_out");
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i, "gpt_neox.layers.");
        input_norms(m, n);
        m.linear(n.theirs + "attention.query_key_value", n.ours + "attn_qkv", split_fused_heads(d.heads));
        m.linear(n.theirs + "attention.dense", n.ours + "attn_output");
        m.linear(n.theirs + "mlp.dense_h_to_4h", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.dense_4h_to_h", n.ours + "ffn_down");
        for (const char* mask : {"bias", "masked_bias", "rotary_emb.inv_freq"}) m.ignore_theirs(n.theirs + "attention." + mask);
    }
}

static constexpr std::string_view classes[] = {"GPTNeoXForCausalLM"};

}  // namespace tailor::files::hugging_face::gpt_neox_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture gpt_neox = {
    .classes = gpt_neox_mapping::classes,
    .gguf = "gptneox",
    .doc = "GPT-NeoX, Pythia",
    .map = &gpt_neox_mapping::map,
    .model_type = "gpt_neox",
};
}  // namespace tailor::files::hugging_face::entries
