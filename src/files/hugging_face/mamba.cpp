// MambaForCausalLM: a selective state space model; no attention.
//
// A is stored as the logarithm of its negative there and as itself here; the convolution loses a dimension of 1.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::mamba_mapping {

static void map(Mapping& m) {
    const std::int64_t dim = m.integer("hidden_size", "embedding_length");
    const std::int64_t layers = layer_count(m);
    // A state has no length, but GGUF wants one: 2^20 where nothing is said, as its first converter has it.
    m.integer("max_position_embeddings", "context_length", 1 << 20);
    if (m.reading()) m.set("feed_forward_length", std::int64_t{0}), m.set("attention.head_count", std::int64_t{0});
    m.integer("intermediate_size", "ssm.inner_size", 2 * dim);
    m.integer("state_size", "ssm.state_size");
    m.integer("conv_kernel", "ssm.conv_kernel");
    m.integer("time_step_rank", "ssm.time_step_rank", (dim + 15) / 16);
    m.real("layer_norm_epsilon", "attention.layer_norm_rms_epsilon");
    m.set_member("hidden_act", "silu");
    m.tensor("backbone.embeddings.weight", "token_embd.weight");
    m.linear("backbone.norm_f", "output_norm");
    output(m, "lm_head", true);
    for (std::int64_t i = 0; i < layers; ++i) {
        const LayerNames n = layer(i, "backbone.layers.");
        m.linear(n.theirs + "norm", n.ours + "attn_norm");
        m.linear(n.theirs + "mixer.in_proj", n.ours + "ssm_in");
        m.linear(n.theirs + "mixer.conv1d", n.ours + "ssm_conv1d", without_middle());
        m.linear(n.theirs + "mixer.x_proj", n.ours + "ssm_x");
        m.linear(n.theirs + "mixer.dt_proj", n.ours + "ssm_dt");
        m.tensor(n.theirs + "mixer.A_log", n.ours + "ssm_a", negative_exponential());
        m.tensor(n.theirs + "mixer.D", n.ours + "ssm_d");
        m.linear(n.theirs + "mixer.out_proj", n.ours + "ssm_out");
    }
}

static constexpr std::string_view classes[] = {"MambaForCausalLM"};

}  // namespace tailor::files::hugging_face::mamba_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture mamba = {
    .classes = mamba_mapping::classes,
    .gguf = "mamba",
    .doc = "Mamba",
    .map = &mamba_mapping::map,
    .model_type = "mamba",
    .defaults = R"({"layer_norm_epsilon": 1e-5, "state_size": 16, "conv_kernel": 4})",
};
}  // namespace tailor::files::hugging_face::entries
