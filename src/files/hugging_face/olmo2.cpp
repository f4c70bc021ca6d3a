// Olmo2ForCausalLM: norms behind attention and feed-forward instead of before them, and of whole queries and keys.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::olmo2_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rope(m, d.head_dim);
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        attention(m, n, d);
        query_key_norms(m, n);
        m.linear(n.theirs + "post_attention_layernorm", n.ours + "post_attention_norm");
        gated_feed_forward(m, n);
        m.linear(n.theirs + "post_feedforward_layernorm", n.ours + "post_ffw_norm");
    }
}

static constexpr std::string_view classes[] = {"Olmo2ForCausalLM"};

}  // namespace tailor::files::hugging_face::olmo2_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture olmo2 = {
    .classes = olmo2_mapping::classes,
    .gguf = "olmo2",
    .doc = "OLMo 2",
    .map = &olmo2_mapping::map,
    .model_type = "olmo2",
};
}  // namespace tailor::files::hugging_face::entries
