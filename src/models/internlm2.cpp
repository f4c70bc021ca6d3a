// InternLM2: Llama's layer; its interleaved query, key and value matrix is taken apart when a file is converted.
//
// Cai et al., "InternLM2 Technical Report", 2024, section 2.2. Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),               m = rms_norm(h)
#include "models/blocks.h"

namespace tailor::models::internlm2_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"internlm2"};

}  // namespace tailor::models::internlm2_family

namespace tailor::models::entries {
extern const Model internlm2 = {
    .name = "internlm2",
    .architectures = internlm2_family::architectures,
    .doc = "InternLM2: Llama with its own fused checkpoint layout",
    .build = &internlm2_family::build,
};
}  // namespace tailor::models::entries
