// MixtralForCausalLM: Llama whose feed-forward part is a choice of experts; GGUF calls it llama too.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::mixtral_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    stated_sizes(m, d);
    rope(m, d.head_dim);
    m.integer_if("sliding_window", "attention.sliding_window");
    const std::int64_t count = m.integer("num_local_experts", "expert_count");
    m.integer("num_experts_per_tok", "expert_used_count");
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d, true);
        m.linear(n.theirs + "block_sparse_moe.gate", n.ours + "ffn_gate_inp", exact());
        experts(m, n, count, "block_sparse_moe.experts.", "w1", "w3", "w2");
    }
}

static bool describes(const Metadata& metadata) { return metadata.integer("llama.expert_count", 0) > 0; }

static constexpr std::string_view classes[] = {"MixtralForCausalLM"};

}  // namespace tailor::files::hugging_face::mixtral_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture mixtral = {
    .classes = mixtral_mapping::classes,
    .gguf = "llama",
    .doc = "Mixtral: Llama with experts",
    .map = &mixtral_mapping::map,
    .describes = &mixtral_mapping::describes,
    .model_type = "mixtral",
};
}  // namespace tailor::files::hugging_face::entries
