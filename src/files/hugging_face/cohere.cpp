// CohereForCausalLM: attention and feed-forward side by side behind one LayerNorm without bias; rotary pairs are neighbours on both sides.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::cohere_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    layer_norm_epsilon(m);
    rope_base(m);
    m.real("logit_scale", "logit_scale");
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        m.linear(n.theirs + "input_layernorm", n.ours + "attn_norm");
        attention(m, n, d);
        query_key_norms(m, n);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"CohereForCausalLM"};

}  // namespace tailor::files::hugging_face::cohere_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture cohere = {
    .classes = cohere_mapping::classes,
    .gguf = "command-r",
    .doc = "Command R",
    .map = &cohere_mapping::map,
    .model_type = "cohere",
    .defaults = R"({"tie_word_embeddings": true, "layer_norm_eps": 1e-5})",
};
}  // namespace tailor::files::hugging_face::entries
