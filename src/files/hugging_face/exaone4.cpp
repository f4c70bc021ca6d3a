// Exaone4ForCausalLM: norms behind attention and feed-forward, and of every query and key.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::exaone4_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    rope(m, d.head_dim);
    if (m.reading()) m.set("rope.dimension_count", d.head_dim);
    m.integer_if("sliding_window", "attention.sliding_window");
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

static constexpr std::string_view classes[] = {"Exaone4ForCausalLM"};

}  // namespace tailor::files::hugging_face::exaone4_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture exaone4 = {
    .classes = exaone4_mapping::classes,
    .gguf = "exaone4",
    .doc = "EXAONE 4",
    .map = &exaone4_mapping::map,
    .model_type = "exaone4",
};
}  // namespace tailor::files::hugging_face::entries
