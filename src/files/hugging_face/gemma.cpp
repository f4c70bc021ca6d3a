// GemmaForCausalLM: Llama with scaled embeddings, GELU gates, and norms stored as their distance from 1.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::gemma_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m, true);
    rms_epsilon(m);
    rope_base(m);
    m.set_member("hidden_act", "gelu_pytorch_tanh");
    ends(m, plus_one());
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n, plus_one());
        attention(m, n, d);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"GemmaForCausalLM"};

}  // namespace tailor::files::hugging_face::gemma_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture gemma = {
    .classes = gemma_mapping::classes,
    .gguf = "gemma",
    .doc = "Gemma 1",
    .map = &gemma_mapping::map,
    .model_type = "gemma",
    .defaults = R"({"tie_word_embeddings": true})",
};
}  // namespace tailor::files::hugging_face::entries
