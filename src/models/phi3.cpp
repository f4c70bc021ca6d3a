// Phi-3, Phi-3.5 and Phi-4-mini: Llama's layer with fused matrices, rotary factors for long contexts, and sliding windows.
//
// Abdin et al., "Phi-3 Technical Report", 2024, section 2; Ding et al., "LongRoPE", 2024. Per layer:
//     h = x + Wo attention(rope(q), rope(k), v),  [q; k; v] = Wqkv rms_norm(x)
//     x = h + Wdown (silu(g) * u),                [g; u] = Wup rms_norm(h)
// Each rotary frequency is divided by a factor of its own: the file's short factors within the original context, the long
// ones beyond it; turned values are multiplied by rope.scaling.attn_factor. Which set holds is fixed by the context that a
// session is opened for, since cached keys cannot change theirs. attention.sliding_window limits every layer as the report
// says; llama.cpp (2026) ignores it.
#include "models/blocks.h"

namespace tailor::models::phi3_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const ops::Attributes window{{"window", b.integer("attention.sliding_window", 0)}};
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon), window));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"phi3"};

}  // namespace tailor::models::phi3_family

namespace tailor::models::entries {
extern const Model phi3 = {
    .name = "phi3",
    .architectures = phi3_family::architectures,
    .doc = "Phi-3, Phi-3.5, Phi-4: fused matrices, short and long rotary factors, sliding windows",
    .build = &phi3_family::build,
};
}  // namespace tailor::models::entries
