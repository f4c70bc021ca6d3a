// MPTForCausalLM: attention with a bias by distance (ALiBi) and LayerNorm without bias; settings of attention lie in a member of their own.
#include <algorithm>

#include "core/error.h"
#include "files/hugging_face/decoder.h"

namespace tailor::files::hugging_face::mpt_mapping {

/// The settings of attention and the width of the feed-forward part, which config.json gives as a ratio.
static void map_inner_settings(Mapping& m, std::int64_t dim, std::int64_t heads) {
    const Metadata& metadata = m.metadata();
    if (!m.reading()) {
        core::Json attention = core::Json().set("alibi", true).set("alibi_bias_max", short_decimal(metadata.real(m.key("attention.max_alibi_bias"), 8)));
        if (const double most = metadata.real(m.key("attention.clamp_kqv"), 0); most > 0) attention.set("clip_qkv", short_decimal(most));
        m.set_member("attn_config", std::move(attention));
        m.set_member("no_bias", true);
        m.set_member("expansion_ratio", metadata.integer(m.key("feed_forward_length")) / std::max<std::int64_t>(dim, 1));
        return;
    }
    const core::Json* const inner = m.member("attn_config");
    const auto number = [](const core::Json* object, std::string_view name, double meant) {
        const core::Json* const value = object ? object->find(name) : nullptr;
        return value && value->is_number() ? value->number() : meant;
    };
    const double ratio = number(&m.config(), "expansion_ratio", 4), kv_heads = number(inner, "kv_n_heads", static_cast<double>(heads));
    if (!(ratio > 0 && ratio < 1000) || !(kv_heads >= 1 && kv_heads < 1e6))
        core::fail(core::ErrorKind::format, "expansion_ratio {} or kv_n_heads {} is out of range", ratio, kv_heads);
    m.set("feed_forward_length", static_cast<std::int64_t>(static_cast<double>(dim) * ratio));
    m.set("attention.head_count_kv", static_cast<std::int64_t>(kv_heads));
    m.set("attention.layer_norm_epsilon", 1e-5);
    m.set("attention.max_alibi_bias", number(inner, "alibi_bias_max", 8));
    if (const double most = number(inner, "clip_qkv", 0); most > 0) m.set("attention.clamp_kqv", most);
}

static void map(Mapping& m) {
    m.integer("max_seq_len", "context_length");
    const std::int64_t dim = m.integer("d_model", "embedding_length"), layers = layer_count(m, "n_layers");
    map_inner_settings(m, dim, m.integer("n_heads", "attention.head_count"));
    m.tensor("transformer.wte.weight", "token_embd.weight");
    m.linear("transformer.norm_f", "output_norm");
    output(m, "lm_head", true);
    for (std::int64_t i = 0; i < layers; ++i) {
        const LayerNames n = layer(i, "transformer.blocks.");
        m.linear(n.theirs + "norm_1", n.ours + "attn_norm");
        m.linear(n.theirs + "attn.Wqkv", n.ours + "attn_qkv");
        m.linear(n.theirs + "attn.out_proj", n.ours + "attn_output");
        m.linear(n.theirs + "norm_2", n.ours + "ffn_norm");
        m.linear(n.theirs + "ffn.up_proj", n.ours + "ffn_up");
        m.linear(n.theirs + "ffn.down_proj", n.ours + "ffn_down");
    }
}

static constexpr std::string_view classes[] = {"MPTForCausalLM", "MptForCausalLM"};

}  // namespace tailor::files::hugging_face::mpt_mapping

namespace tailor::files::hugging_face::entries {
extern const Architecture mpt = {
    .classes = mpt_mapping::classes,
    .gguf = "mpt",
    .doc = "MPT",
    .map = &mpt_mapping::map,
    .model_type = "mpt",
};
}  // namespace tailor::files::hugging_face::entries
