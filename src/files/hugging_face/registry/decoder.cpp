// See decoder.h.
#include "files/hugging_face/decoder.h"

#include <cmath>

#include "core/error.h"

namespace tailor::files::hugging_face {

// As in models/: more of anything than any model has.
constexpr std::int64_t most_layers = 10000, most_heads = 1 << 16, most_experts = 1 << 16;

std::int64_t layer_count(Mapping& m, std::string_view theirs) {
    const std::int64_t layers = m.integer(theirs, "block_count");
    if (layers < 1 || layers > most_layers) core::fail(core::ErrorKind::format, "{} is {}; it must lie between 1 and {}", theirs, layers, most_layers);
    return layers;
}

Decoder decoder(Mapping& m, bool states_head_dim) {
    Decoder d;
    m.integer("max_position_embeddings", "context_length");
    d.dim = m.integer("hidden_size", "embedding_length");
    d.layers = layer_count(m);
    m.integer("intermediate_size", "feed_forward_length");
    d.heads = m.integer("num_attention_heads", "attention.head_count");
    d.kv_heads = m.integer("num_key_value_heads", "attention.head_count_kv", d.heads);
    if (d.dim < 1 || d.heads < 1 || d.heads > most_heads || d.kv_heads < 1 || d.kv_heads > most_heads)
        core::fail(core::ErrorKind::format, "hidden_size {}, num_attention_heads {} and num_key_value_heads {} must be positive and of a sane size", d.dim, d.heads,
                   d.kv_heads);
    const std::int64_t share = d.dim / d.heads;
    if (m.reading()) {
        const core::Json* const stated = m.member("head_dim");
        d.head_dim = stated ? stated->integer() : share;
        if (states_head_dim || d.head_dim != share) {
            m.set("attention.key_length", d.head_dim);
            m.set("attention.value_length", d.head_dim);
        }
    } else {
        d.head_dim = m.metadata().integer(m.key("attention.key_length"), share);
        m.set_member("head_dim", d.head_dim);
    }
    if (d.head_dim < 1) core::fail(core::ErrorKind::format, "head_dim {} must be positive", d.head_dim);
    return d;
}

void rms_epsilon(Mapping& m) { m.real("rms_norm_eps", "attention.layer_norm_rms_epsilon"); }
void layer_norm_epsilon(Mapping& m, std::string_view theirs) { m.real(theirs, "attention.layer_norm_epsilon"); }

void stated_sizes(Mapping& m, const Decoder& d) {
    const core::Shape* const embedding = m.shape("model.embed_tokens.weight", "token_embd.weight");
    if (embedding) m.set("vocab_size", (*embedding)[0]);
    m.set("rope.dimension_count", d.head_dim);
}

void rotary_share(Mapping& m, const Decoder& d, std::string_view theirs, double meant) {
    const auto width = static_cast<double>(d.head_dim);
    if (m.reading()) {
        const core::Json* const stated = m.member(theirs);
        const double share = stated ? stated->number() : meant;
        if (!(share > 0 && share <= 1)) core::fail(core::ErrorKind::format, "{} is {}; it must lie between 0 and 1", theirs, share);
        return m.set("rope.dimension_count", static_cast<std::int64_t>(width * share));
    }
    m.set_member(theirs, static_cast<double>(m.metadata().integer(m.key("rope.dimension_count"), d.head_dim)) / width);
}

void query_scale(Mapping& m, const Decoder& d, std::int64_t layers_of_27b) {
    const auto width = static_cast<double>(d.head_dim);
    if (m.reading()) {
        const core::Json* const scalar = m.member("query_pre_attn_scalar");
        if (scalar && scalar->number() > 0 && scalar->number() != width) m.set("attention.scale", 1 / std::sqrt(scalar->number()));
        return;
    }
    const double scale = m.metadata().real(m.key("attention.scale"), 0);
    const double usual = d.layers == layers_of_27b ? static_cast<double>(d.dim) / static_cast<double>(d.heads) : width;
    m.set_member("query_pre_attn_scalar", scale > 0 ? short_decimal(1 / (scale * scale)) : usual);
}

void granite_scales(Mapping& m) {
    m.real("logits_scaling", "logit_scale", 1);
    m.real("residual_multiplier", "residual_scale", 1);
    m.real("embedding_multiplier", "embedding_scale", 1);
    m.real_if("attention_multiplier", "attention.scale");
}

void output(Mapping& m, const std::string& theirs, bool tied_meant) {
    if (const core::Shape* const embedding = m.shape({}, "token_embd.weight")) m.set_member("vocab_size", (*embedding)[0]);
    m.set_member("tie_word_embeddings", !m.has_ours("output.weight"));
    const core::Json* const tied = m.member("tie_word_embeddings");
    if (m.reading() && (tied ? tied->boolean() : tied_meant)) m.ignore_theirs(theirs + ".weight");
    else m.linear(theirs, "output");
}

void ends(Mapping& m, const Step& norm) {
    m.tensor("model.embed_tokens.weight", "token_embd.weight");
    m.linear("model.norm", "output_norm", norm);
    output(m);
}

LayerNames layer(std::int64_t i, std::string_view theirs) {
    const std::string number = std::to_string(i) + ".";
    return {std::string(theirs) + number, "blk." + number};
}

void attention(Mapping& m, const LayerNames& n, const Decoder& d, bool pairs) {
    m.linear(n.theirs + "self_attn.q_proj", n.ours + "attn_q", pairs ? neighbour_pairs(d.heads) : same());
    m.linear(n.theirs + "self_attn.k_proj", n.ours + "attn_k", pairs ? neighbour_pairs(d.kv_heads) : same());
    m.linear(n.theirs + "self_attn.v_proj", n.ours + "attn_v");
    m.linear(n.theirs + "self_attn.o_proj", n.ours + "attn_output");
    // Angles that some checkpoints keep although they follow from the settings.
    m.ignore_theirs(n.theirs + "self_attn.rotary_emb.inv_freq");
}

void query_key_norms(Mapping& m, const LayerNames& n, const Step& step) {
    m.linear(n.theirs + "self_attn.q_norm", n.ours + "attn_q_norm", step);
    m.linear(n.theirs + "self_attn.k_norm", n.ours + "attn_k_norm", step);
}

void input_norms(Mapping& m, const LayerNames& n, const Step& step) {
    m.linear(n.theirs + "input_layernorm", n.ours + "attn_norm", step);
    m.linear(n.theirs + "post_attention_layernorm", n.ours + "ffn_norm", step);
}

void four_norms(Mapping& m, const LayerNames& n, const Step& step) {
    m.linear(n.theirs + "input_layernorm", n.ours + "attn_norm", step);
    m.linear(n.theirs + "post_attention_layernorm", n.ours + "post_attention_norm", step);
    m.linear(n.theirs + "pre_feedforward_layernorm", n.ours + "ffn_norm", step);
    m.linear(n.theirs + "post_feedforward_layernorm", n.ours + "post_ffw_norm", step);
}

void gated_feed_forward(Mapping& m, const LayerNames& n) {
    m.linear(n.theirs + "mlp.gate_proj", n.ours + "ffn_gate");
    m.linear(n.theirs + "mlp.up_proj", n.ours + "ffn_up");
    m.linear(n.theirs + "mlp.down_proj", n.ours + "ffn_down");
}

void experts(Mapping& m, const LayerNames& n, std::int64_t count, const std::string& theirs, const std::string& gate, const std::string& up,
             const std::string& down) {
    if (count < 1 || count > most_experts) core::fail(core::ErrorKind::format, "there are {} experts; there must be 1 to {}", count, most_experts);
    const auto stack = [&](const std::string& part, const std::string& ours) {
        std::vector<std::string> names;
        for (std::int64_t e = 0; e < count; ++e) names.push_back(n.theirs + theirs + std::to_string(e) + "." + part + ".weight");
        m.stack(names, n.ours + ours + ".weight");
    };
    stack(gate, "ffn_gate_exps");
    stack(up, "ffn_up_exps");
    stack(down, "ffn_down_exps");
}

}  // namespace tailor::files::hugging_face
