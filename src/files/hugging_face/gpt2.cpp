// GPT2LMHeadModel: learned positions, LayerNorm, GELU; weights of linear layers lie transposed (its Conv1D).
//
// Published files name tensors with and without "transformer." in front, and keep the causal mask as a tensor.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::gpt2_mapping {

static void map(Mapping& m) {
    m.integer("n_positions", "context_length");
    const std::int64_t dim = m.integer("n_embd", "embedding_length");
    const std::int64_t layers = layer_count(m, "n_layer");
    m.integer("n_inner", "feed_forward_length", 4 * dim);
    m.integer("n_head", "attention.head_count");
    layer_norm_epsilon(m, "layer_norm_epsilon");
    m.set_member("activation_function", "gelu_new");
    const std::string top = m.has_theirs("wte.weight") ? "" : "transformer.";
    m.tensor(top + "wte.weight", "token_embd.weight");
    m.tensor(top + "wpe.weight", "position_embd.weight", exact());
    m.linear(top + "ln_f", "output_norm");
    output(m, "lm_head", true);
    for (std::int64_t i = 0; i < layers; ++i) {
        const LayerNames n = layer(i, top + "h.");
        m.linear(n.theirs + "ln_1", n.ours + "attn_norm");
        m.linear(n.theirs + "attn.c_attn", n.ours + "attn_qkv", transposed());
        m.linear(n.theirs + "attn.c_proj", n.ours + "attn_output", transposed());
        m.linear(n.theirs + "ln_2", n.ours + "ffn_norm");
        m.linear(n.theirs + "mlp.c_fc", n.ours + "ffn_up", transposed());
        m.linear(n.theirs + "mlp.c_proj", n.ours + "ffn_down", transposed());
        m.ignore_theirs(n.theirs + "attn.bias");
        m.ignore_theirs(n.theirs + "attn.masked_bias");
    }
}

static constexpr std::string_view classes[] = {"GPT2LMHeadModel"};

}  // namespace tailor::files::hugging_face::gpt2_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture gpt2 = {
    .classes = gpt2_mapping::classes,
    .gguf = "gpt2",
    .doc = "GPT-2",
    .map = &gpt2_mapping::map,
    .model_type = "gpt2",
};
}  // namespace tailor::files::hugging_face::entries
