// Deci, and every Llama whose layers were pruned one by one: widths per layer, and layers that lack a part.
//
// Bercovich et al., "Puzzle: Distillation-Based NAS for Inference-Optimized LLMs", 2024, section 3. Per layer, by the arrays
// attention.head_count, attention.head_count_kv and feed_forward_length:
//     heads, kv heads > 0: h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     kv heads = 0:        h = x + Wo n, one matrix in place of attention
//     heads = 0:           h = x
//     ffn > 0:             x = h + Wdown (silu(Wgate m) * Wup m),  m = rms_norm(h)
//     ffn = 0:             the layer changes nothing, even if it has attention
// The last line is what llama.cpp (2026) does with such files, and so what they mean elsewhere; by the paper the layer would
// keep h. No published model tells the two apart: their layers without feed-forward have no attention either. To drop only
// the feed-forward part, write one of a single block of columns, all zero.
#include "models/blocks.h"

namespace tailor::models::deci_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    return l.kv_heads > 0 ? rotary_attention(b, c, l, x) : b.linear(x, l.name + "attn_output", c.dim);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        if (l.ffn == 0) {
            b.leave_out(l.name);
            continue;
        }
        if (l.heads > 0) x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"deci"};

}  // namespace tailor::models::deci_family

namespace tailor::models::entries {
extern const Model deci = {
    .name = "deci",
    .architectures = deci_family::architectures,
    .doc = "Deci and pruned Llamas: widths per layer, missing attention or feed-forward",
    .build = &deci_family::build,
};
}  // namespace tailor::models::entries
