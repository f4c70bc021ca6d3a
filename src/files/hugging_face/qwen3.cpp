// Qwen3ForCausalLM: Qwen 2 without biases, with a norm of every query and key, and heads of their own width.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::qwen3_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m, true);
    rms_epsilon(m);
    rope(m, d.head_dim);
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d);
        query_key_norms(m, n);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"Qwen3ForCausalLM"};

}  // namespace tailor::files::hugging_face::qwen3_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture qwen3 = {
    .classes = qwen3_mapping::classes,
    .gguf = "qwen3",
    .doc = "Qwen 3, dense",
    .map = &qwen3_mapping::map,
    .model_type = "qwen3",
};
}  // namespace tailor::files::hugging_face::entries
