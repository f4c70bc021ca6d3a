// BERT and Nomic BERT: encoders that see a text as a whole and give a vector per token.
//
// Devlin et al., "BERT", 2019; Nussbaum et al., "Nomic Embed", 2024. Norms follow what they normalize (Vaswani et al., 2017):
//     x = layer_norm(E[token] + T[0] + P[position])
//     h = layer_norm(x + Wo attention(Wq x, Wk x, Wv x)),  every token sees every other
//     x = layer_norm(h + Wdown gelu(Wup h))
// T are the embeddings of two kinds of text, of which the first is taken. Nomic BERT has rotary positions instead of P, and
// Wdown (silu(Wgate h) * Wup h); its second version has experts in every other layer (Nussbaum and Duderstadt, "Training Sparse Mixture
// of Experts Text Embedding Models", 2025), without gates and with weights that are not normalized. GELU is the tanh form, as converted files expect.
#include "formats/registry.h"
#include "models/experts.h"

namespace tailor::models::bert_family {

// Row 0 of the embeddings of kinds of text, for every token.
static Value embed_kind(Builder& b, const Config& c) {
    const core::Tensor zeros = formats::make_tensor(formats::get("i32"), b.graph.node(b.token_ids).type.shape);
    return b.graph.add("gather", {b.weight("token_types.weight", {b.rows_of("token_types.weight"), c.dim}), b.graph.constant("token_kinds", zeros)}, {}, "token_types");
}

static Value feed_forward(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x) {
    if (has_experts(b, l)) return expert_feed_forward(b, c, l, e, x);
    return b.has(l.name + "ffn_gate.weight") ? gated_feed_forward(b, c, l, x, "silu") : plain_feed_forward(b, c, l, x, "gelu");
}

static Value build(Builder& b) {
    const bool rotary = !b.has("position_embd.weight");
    const Config c = read_config(b, rotary ? "halves" : "");
    const Experts e = read_experts(b, {.activation = "gelu", .gated = false});
    Value x = embed(b, c);
    if (b.has("token_types.weight")) x = add(b, x, embed_kind(b, c));
    if (!rotary) x = add(b, x, embed_positions(b, c));
    x = b.layer_norm(x, "token_embd_norm", c.epsilon);
    for (const Layer& l : c.layers) {
        Heads h = project_heads(b, c, l, x);
        if (rotary) rotate(b, c, l, h);
        x = b.layer_norm(add(b, x, attend(b, c, l, h, {{"causal", std::int64_t{0}}})), l.name + "attn_output_norm", c.epsilon);
        x = b.layer_norm(add(b, x, feed_forward(b, c, l, e, x)), l.name + "layer_output_norm", c.epsilon);
    }
    return wanted_rows(b, x);
}

static constexpr std::string_view architectures[] = {"bert", "nomic-bert", "nomic-bert-moe"};

}  // namespace tailor::models::bert_family

namespace tailor::models::entries {
extern const Model bert = {
    .name = "bert",
    .architectures = bert_family::architectures,
    .doc = "BERT and Nomic BERT, plain and with experts: encoders, for embeddings of texts",
    .build = &bert_family::build,
    .encodes = true,
};
}  // namespace tailor::models::entries
