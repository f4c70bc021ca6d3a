// FalconForCausalLM: attention and feed-forward side by side behind one LayerNorm (7B) or one each (40B).
//
// Per kv head there lie its queries, its key and its value; here all queries come first.
#include "core/error.h"
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::falcon_mapping {

/// Rows of [kv head][its queries, key, value] to [queries][keys][values].
static Step queries_first(std::int64_t heads, std::int64_t kv_heads) {
    return rows_reordered("queries_first", heads + 2 * kv_heads, [heads, kv_heads](std::int64_t row, std::int64_t rows) {
        const std::int64_t width = rows / (heads + 2 * kv_heads), head = row / width, share = heads / kv_heads;
        const std::int64_t group = head < heads ? head / share : (head - heads) % kv_heads;
        const std::int64_t within = head < heads ? head % share : head < heads + kv_heads ? share : share + 1;
        return (group * (share + 2) + within) * width + row % width;
    });
}

static void map(Mapping& m) {
    const std::int64_t dim = m.integer("hidden_size", "embedding_length"), layers = layer_count(m);
    const std::int64_t heads = m.integer("num_attention_heads", "attention.head_count");
    m.integer("max_position_embeddings", "context_length", 2048);
    // One setting for two: a single kv head without "new_decoder_architecture", whatever num_kv_heads says.
    const core::Json *const renewed = m.member("new_decoder_architecture"), *const kv = m.member("num_kv_heads");
    const bool grouped = m.reading() && renewed && renewed->boolean();
    std::int64_t kv_heads = m.metadata().integer(m.key("attention.head_count_kv"), 1);
    if (m.reading()) {
        kv_heads = grouped ? (kv ? kv->integer() : heads) : 1;
        m.set("attention.head_count_kv", kv_heads);
        m.set("feed_forward_length", 4 * dim);
    }
    if (kv_heads < 1 || heads < kv_heads || heads % kv_heads != 0)
        core::fail(core::ErrorKind::format, "{} attention heads over {} kv heads is no whole share", heads, kv_heads);
    m.set_member("new_decoder_architecture", kv_heads > 1);
    m.set_member("multi_query", true);
    m.set_member("parallel_attn", true);
    m.set_member("bias", false);
    m.set_member("num_kv_heads", kv_heads);
    layer_norm_epsilon(m, "layer_norm_epsilon");
    m.tensor("transformer.word_embeddings.weight", "token_embd.weight");
    m.linear("transformer.ln_f", "output_norm");
    output(m, "lm_head", true);
    for (std::int64_t i = 0; i < layers; ++i) {
        const LayerNames n = layer(i, "transformer.h.");
        m.linear(n.theirs + "input_layernorm", n.ours + "attn_norm");
        // With two norms, GGUF's attn_norm is that of the feed-forward part.
        m.linear(n.theirs + "ln_mlp", n.ours + "attn_norm");
        m.linear(n.theirs + "ln_attn", n.ours + "attn_norm_2");
        m.linear(n.theirs + "self_attention.query_key_value", n.ours + "attn_qkv", queries_first(heads, kv_heads));
        m.linear(n.theirs + "self_attention.dense", n.ours + "attn_output");
        m.linear(n.theirs + "mlp.dense_h_to_4h", n.ours + "ffn_up");
        m.linear(n.theirs + "mlp.dense_4h_to_h", n.ours + "ffn_down");
    }
}

static constexpr std::string_view classes[] = {"FalconForCausalLM"};

}  // namespace tailor::files::hugging_face::falcon_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture falcon = {
    .classes = falcon_mapping::classes,
    .gguf = "falcon",
    .doc = "Falcon 7B and 40B",
    .map = &falcon_mapping::map,
    .model_type = "falcon",
    .defaults = R"({"layer_norm_epsilon": 1e-5, "tie_word_embeddings": true})",
};
}  // namespace tailor::files::hugging_face::entries
