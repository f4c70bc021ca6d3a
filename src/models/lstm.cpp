// LSTM: a decoder whose only memory are long short-term memory cells.
//
// Cells: Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000; stacked as a language model by Zaremba et al., 2014. Here
// each layer stands on a residual stream with a norm before it and a feed-forward part behind it, as in decoders of today, so that what
// differs from Llama is the mixing of positions alone. Per layer:
//     h = x + lstm(Win rms_norm(x) + b),   x = h + Wdown (silu(Wgate m) * Wup m),   m = rms_norm(h)
// The cells are as many as the columns; a layer of no feed_forward_length has no feed-forward part. No GGUF file of this architecture is in
// use elsewhere, so its names are Tailor's: architecture "lstm"; lstm_in [4 * dim, dim] with its bias, gate after gate in the order
// input, forget, candidate, output; lstm_recurrent [4 * dim, dim / heads], block-diagonal over lstm.cell_heads (1).
#include "core/error.h"
#include "models/blocks.h"

namespace tailor::models::lstm_family {

static Value build(Builder& b) {
    const Config c = read_config(b);
    const std::int64_t heads = b.integer("cell_heads", 1);
    if (heads < 1 || c.dim % heads != 0) core::fail(core::ErrorKind::format, "lstm.cell_heads is {}; {} cells are no whole number of heads", heads, c.dim);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value gates = b.linear(b.rms_norm(x, l.name + "attn_norm", c.epsilon), l.name + "lstm_in", 4 * c.dim);
        const Value recurrent = b.weight(l.name + "lstm_recurrent.weight", {4 * c.dim, c.dim / heads});
        x = add(b, x, b.graph.add("lstm", {gates, recurrent}, {}, l.name + "lstm"));
        if (l.ffn > 0) x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"lstm"};

}  // namespace tailor::models::lstm_family

namespace tailor::models::entries {
extern const Model lstm = {
    .name = "lstm",
    .architectures = lstm_family::architectures,
    .doc = "long short-term memory cells on a residual stream, with SwiGLU",
    .build = &lstm_family::build,
};
}  // namespace tailor::models::entries
