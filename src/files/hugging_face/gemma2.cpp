// Gemma2ForCausalLM: norms before and after both parts of a layer, every other layer with a window, capped scores and logits.
//
// Norms are stored as their distance from 1. Scores are divided by the root of query_pre_attn_scalar, which GGUF states only
// where it is not the width of a head.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::gemma2_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m, true);
    rms_epsilon(m);
    rope_base(m);
    m.integer("sliding_window", "attention.sliding_window");
    m.real_if("attn_logit_softcapping", "attn_logit_softcapping");
    m.real_if("final_logit_softcapping", "final_logit_softcapping");
    query_scale(m, d, 46);
    m.set_member("hidden_activation", "gelu_pytorch_tanh");
    ends(m, plus_one());
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        four_norms(m, n, plus_one());
        attention(m, n, d);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"Gemma2ForCausalLM"};

}  // namespace tailor::files::hugging_face::gemma2_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture gemma2 = {
    .classes = gemma2_mapping::classes,
    .gguf = "gemma2",
    .doc = "Gemma 2",
    .map = &gemma2_mapping::map,
    .model_type = "gemma2",
    .defaults = R"({"tie_word_embeddings": true, "sliding_window": 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})",
};
}  // namespace tailor::files::hugging_face::entries
