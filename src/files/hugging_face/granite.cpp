// GraniteForCausalLM: Llama with four constants that scale embeddings, scores, residuals and logits.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::granite_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    stated_sizes(m, d);
    rope(m, d.head_dim);
    granite_scales(m);
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d, true);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"GraniteForCausalLM"};

}  // namespace tailor::files::hugging_face::granite_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture granite = {
    .classes = granite_mapping::classes,
    .gguf = "granite",
    .doc = "Granite 3, dense",
    .map = &granite_mapping::map,
    .model_type = "granite",
};
}  // namespace tailor::files::hugging_face::entries
