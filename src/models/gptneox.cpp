// GPT-NeoX and Pythia: partial rotary attention and feed-forward, side by side.
//
// Black et al., "GPT-NeoX-20B", 2022, section 2. Per layer, with use_parallel_residual:
//     x = x + attention(layer_norm_1(x)) + feed_forward(layer_norm_2(x))
// and without it one after the other:
//     h = x + attention(layer_norm_1(x)),  x = h + feed_forward(layer_norm_2(h))
// Only the first rope.dimension_count values of a head are turned. The models were trained with GELU in its erf form; GGUF
// runtimes compute the tanh form, at most 5e-4 away, and so does this file.
#include "models/blocks.h"

namespace tailor::models::gptneox_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, b.layer_norm(x, l.name + "attn_norm", c.epsilon));
    rotate(b, c, l, h);
    return attend(b, c, l, h);
}

static Value feed_forward(Builder& b, const Config& c, const Layer& l, Value x) {
    return plain_feed_forward(b, c, l, b.layer_norm(x, l.name + "ffn_norm", c.epsilon), "gelu");
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const bool parallel = b.boolean("use_parallel_residual", true);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value h = add(b, x, attention(b, c, l, x));
        x = add(b, h, feed_forward(b, c, l, parallel ? x : h));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"gptneox"};

}  // namespace tailor::models::gptneox_family

namespace tailor::models::entries {
extern const Model gptneox = {
    .name = "gptneox",
    .architectures = gptneox_family::architectures,
    .doc = "GPT-NeoX, Pythia: parallel or sequential residuals, partial rotation",
    .build = &gptneox_family::build,
};
}  // namespace tailor::models::entries
