// LlamaForCausalLM and its renamings.
//
// Transformers turns the halves of a head against each other, GGUF neighbours: the rows of Wq and Wk are reordered. Mistral is
// the same network; its first version looks back over a window only, which GGUF notes.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::llama_mapping {

static void map(Mapping& m) {
    const Decoder d = decoder(m);
    rms_epsilon(m);
    stated_sizes(m, d);
    rope(m, d.head_dim);
    m.integer_if("sliding_window", "attention.sliding_window");
    m.set_member("hidden_act", "silu");
    ends(m);
    for (std::int64_t i = 0; i < d.layers; ++i) {
        const LayerNames n = layer(i);
        input_norms(m, n);
        attention(m, n, d, true);
        gated_feed_forward(m, n);
    }
}

static constexpr std::string_view classes[] = {"LlamaForCausalLM", "MistralForCausalLM", "LLaMAForCausalLM"};

}  // namespace tailor::files::hugging_face::llama_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture llama = {
    .classes = llama_mapping::classes,
    .gguf = "llama",
    .doc = "Llama 1 to 3, Mistral, Yi, SmolLM, TinyLlama",
    .map = &llama_mapping::map,
    .model_type = "llama",
};
}  // namespace tailor::files::hugging_face::entries
