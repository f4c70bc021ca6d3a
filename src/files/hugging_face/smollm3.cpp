// SmolLM3ForCausalLM: Llama whose every fourth layer has no rotary angles; rows of all layers are reordered all the same.
#include "core/error.h"
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::smollm3_mapping {

constexpr std::int64_t unturned_period = 4;

/// GGUF has no key for which layers go without angles, so that they must be the usual ones.
static void check_unturned_layers(const Mapping& m, std::int64_t layers) {
    const core::Json* const turned = m.reading() ? m.member("no_rope_layers") : nullptr;
    if (!turned || !turned->is_array()) return;
    const core::Json::Array& flags = turned->items();
    for (std::int64_t i = 0; i < layers; ++i)
        if (static_cast<std::size_t>(i) >= flags.size() || (flags[static_cast<std::size_t>(i)].integer() != 0) != ((i + 1) % unturned_period != 0))
            core::fail(core::ErrorKind::unsupported, "no_rope_layers is not every fourth layer, which GGUF cannot say");
}

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    stated_sizes(m, d);
    rope(m, d.head_dim, 2000000);
    m.set_member("hidden_act", "silu");
    m.set_member("no_rope_layer_interval", unturned_period);
    check_unturned_layers(m, d.layers);
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d, true);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"SmolLM3ForCausalLM"};

}  // namespace tailor::files::hugging_face::smollm3_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture smollm3 = {
    .classes = smollm3_mapping::classes,
    .gguf = "smollm3",
    .doc = "SmolLM 3",
    .map = &smollm3_mapping::map,
    .model_type = "smollm3",
    .defaults = R"({"tie_word_embeddings": true, "rms_norm_eps": 1e-6})",
};
}  // namespace tailor::files::hugging_face::entries
