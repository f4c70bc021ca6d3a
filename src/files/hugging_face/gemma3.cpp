// Gemma3ForCausalLM, and the language part of Gemma3ForConditionalGeneration: Gemma 2 without caps, with normed queries and keys,
// and five layers with a window to one without.
//
// Norms are stored as their distance from 1. Layers with a window have a rotary base of their own, which GGUF states where it is
// not the usual 10,000.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::gemma3_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m, true);
    rms_epsilon(m);
    rope(m, d.head_dim, 1000000);
    m.integer("sliding_window", "attention.sliding_window");
    // GGUF states the period of layers that see everything only where it is not the usual one.
    constexpr std::int64_t usual_period = 6;
    if (const core::Json* const period = m.member("sliding_window_pattern"); m.reading() && period && period->is_number() && period->integer() != usual_period)
        m.set("attention.sliding_window_pattern", period->integer());
    m.set_member("sliding_window_pattern", m.metadata().integer(m.key("attention.sliding_window_pattern"), usual_period));
    m.real_if("final_logit_softcapping", "final_logit_softcapping");
    constexpr double usual_base = 10000;
    const core::Json* const base = m.reading() ? m.member("rope_local_base_freq") : nullptr;
    if (base && base->number() != usual_base) m.set("rope.freq_base_swa", base->number());
    m.set_member("rope_local_base_freq", short_decimal(m.metadata().real(m.key("rope.freq_base_swa"), usual_base)));
    query_scale(m, d, 62);
    m.set_member("hidden_activation", "gelu_pytorch_tanh");
    ends(m, plus_one());
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        four_norms(m, n, plus_one());
        attention(m, n, d);
        query_key_norms(m, n, plus_one());
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"};

}  // namespace tailor::files::hugging_face::gemma3_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture gemma3 = {
    .classes = gemma3_mapping::classes,
    .gguf = "gemma3",
    .doc = "Gemma 3",
    .map = &gemma3_mapping::map,
    .model_type = "gemma3_text",
    .defaults = R"({"tie_word_embeddings": true, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                    "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "sliding_window": 4096, "query_pre_attn_scalar": 256})",
};
}  // namespace tailor::files::hugging_face::entries
