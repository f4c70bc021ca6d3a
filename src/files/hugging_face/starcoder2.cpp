// Starcoder2ForCausalLM: Llama with LayerNorm, biases and a plain GELU feed-forward.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::starcoder2_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    layer_norm_epsilon(m, "norm_epsilon");
    rope(m, d.head_dim);
    m.integer_if("sliding_window", "attention.sliding_window");
    m.set_member("hidden_act", "gelu_pytorch_tanh");
    m.set_member("use_bias", true);
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        m.linear(n.theirs + "mlp.c_fc", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.c_proj", n.ours + "ffn_down");
    }
}

static constexpr std::string_view classes[] = {"Starcoder2ForCausalLM"};

}  // namespace tailor::files::hugging_face::starcoder2_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture starcoder2 = {
    .classes = starcoder2_mapping::classes,
    .gguf = "starcoder2",
    .doc = "StarCoder 2",
    .map = &starcoder2_mapping::map,
    .model_type = "starcoder2",
    .defaults = R"({"tie_word_embeddings": true, "norm_epsilon": 1e-5})",
};
}  // namespace tailor::files::hugging_face::entries
