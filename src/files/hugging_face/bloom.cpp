// BloomForCausalLM: attention with a bias by distance (ALiBi), LayerNorm, and a norm right behind the embedding.
//
// q, k and v of one head lie together there; here all of q come before all of k and v.
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::bloom_mapping {

static void map(Mapping& m) {
    const std::int64_t dim = m.integer(m.member("n_embed") ? "n_embed" : "hidden_size", "embedding_length");
    const std::int64_t layers = layer_count(m, "n_layer"), heads = m.integer("n_head", "attention.head_count");
    m.integer("seq_length", "context_length", 2048);
    if (m.reading()) m.set("feed_forward_length", 4 * dim), m.set("attention.head_count_kv", heads);
    layer_norm_epsilon(m, "layer_norm_epsilon");
    const std::string top = m.has_theirs("word_embeddings.weight") ? "" : "transformer.";
    m.tensor(top + "word_embeddings.weight", "token_embd.weight");
    m.linear(top + "word_embeddings_layernorm", "token_embd_norm");
    m.linear(top + "ln_f", "output_norm");
    output(m, "lm_head", true);
    for (std::int64_t i = 0; i < layers; ++i) {
        const LayerNames n = layer(i, top + "h.");
        input_norms(m, n);
        m.linear(n.theirs + "self_attention.query_key_value", n.ours + "attn_qkv", split_fused_heads(heads));
        m.linear(n.theirs + "self_attention.dense", n.ours + "attn_output");
        m.linear(n.theirs + "mlp.dense_h_to_4h", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.dense_4h_to_h", n.ours + "ffn_down");
    }
}

static constexpr std::string_view classes[] = {"BloomForCausalLM"};

}  // namespace tailor::files::hugging_face::bloom_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture bloom = {
    .classes = bloom_mapping::classes,
    .gguf = "bloom",
    .doc = "BLOOM",
    .map = &bloom_mapping::map,
    .model_type = "bloom",
};
}  // namespace tailor::files::hugging_face::entries
