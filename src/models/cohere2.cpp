// Command R7B and Command A: Command R with windows on three of four layers; only those are turned by position.
//
// Cohere, "Command A: An Enterprise-Ready Large Language Model", 2025, section 2.
//     x = x + Wo attention(Wq n, Wk n, Wv n) + Wdown (silu(Wgate n) * Wup n),  n = layer_norm(x)
//     logits = logit_scale * E layer_norm(x)
// Layers 0, 1, 2 of each four look back over a window with rotary queries and keys; layer 3 sees everything and knows of
// positions only what the others told it.
#include "models/blocks.h"

namespace tailor::models::cohere2_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, std::int64_t window) {
    Heads h = project_heads(b, c, l, x);
    if (window > 0) rotate(b, c, l, h);
    return attend(b, c, l, h, {{"window", window}});
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const std::vector<bool> windowed = windowed_layers(b, c, 4);
    const std::int64_t window = b.integer("attention.sliding_window");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.layer_norm(x, l.name + "attn_norm", c.epsilon);
        const Value mixed = attention(b, c, l, n, windowed[static_cast<std::size_t>(l.index)] ? window : 0);
        x = add(b, add(b, x, mixed), gated_feed_forward(b, c, l, n, "silu"));
    }
    x = logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return scaled(b, x, stated_factor(b, "logit_scale"));
}

static constexpr std::string_view architectures[] = {"cohere2"};

}  // namespace tailor::models::cohere2_family

namespace tailor::models::entries {
extern const Model cohere2 = {
    .name = "cohere2",
    .architectures = cohere2_family::architectures,
    .doc = "Command R7B, Command A: parallel parts, rotary windows on three of four layers",
    .build = &cohere2_family::build,
};
}  // namespace tailor::models::entries
