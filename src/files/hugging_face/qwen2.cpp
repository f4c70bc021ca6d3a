// Qwen2ForCausalLM: Llama with biases of Wq, Wk and Wv; both conventions turn halves of a head, so rows stay.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::qwen2_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rope(m, d.head_dim);
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"Qwen2ForCausalLM"};

}  // namespace tailor::files::hugging_face::qwen2_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture qwen2 = {
    .classes = qwen2_mapping::classes,
    .gguf = "qwen2",
    .doc = "Qwen 2 and 2.5",
    .map = &qwen2_mapping::map,
    .model_type = "qwen2",
};
}  // namespace tailor::files::hugging_face::entries
