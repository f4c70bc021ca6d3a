// SmolLM3: Llama's layer without rotary embedding on every fourth layer.
//
// Hugging Face, "SmolLM3: smol, multilingual, long-context reasoner", 2025; layers without positions: Yang et al., "RoPE to
// NoPE and Back Again", 2025. Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x); no rope on layers 3, 7, 11, ...
//     x = h + Wdown (silu(Wgate m) * Wup m),               m = rms_norm(h)
#include "models/blocks.h"

namespace tailor::models::smollm3_family {

constexpr std::int64_t unturned_step = 4;

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    if ((l.index + 1) % unturned_step != 0) rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"smollm3"};

}  // namespace tailor::models::smollm3_family

namespace tailor::models::entries {
extern const Model smollm3 = {
    .name = "smollm3",
    .architectures = smollm3_family::architectures,
    .doc = "SmolLM3: Llama without rotation on every fourth layer",
    .build = &smollm3_family::build,
};
}  // namespace tailor::models::entries
