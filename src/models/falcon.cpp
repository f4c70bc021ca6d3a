// Falcon: attention and feed-forward side by side; one LayerNorm for both (7B) or one for each (40B).
//
// Almazrouei et al., "The Falcon Series of Open Language Models", 2023, section 4. Per layer:
//     x = x + Wo attention(rope(q), rope(k), v) + Wdown gelu(Wup n),  [q; k; v] = Wqkv a,  n = layer_norm(x)
// where a is n, or layer_norm_2(x) where the file has attn_norm_2. Matrices have no biases. The models were trained with GELU
// in its erf form; GGUF runtimes compute the tanh form, at most 5e-4 away, and so does this file.
#include "models/blocks.h"

namespace tailor::models::falcon_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const Value n = b.layer_norm(x, l.name + "attn_norm", c.epsilon);
        const Value a = b.has(l.name + "attn_norm_2.weight") ? b.layer_norm(x, l.name + "attn_norm_2", c.epsilon) : n;
        x = add(b, add(b, x, rotary_attention(b, c, l, a)), plain_feed_forward(b, c, l, n, "gelu"));
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"falcon"};

}  // namespace tailor::models::falcon_family

namespace tailor::models::entries {
extern const Model falcon = {
    .name = "falcon",
    .architectures = falcon_family::architectures,
    .doc = "Falcon 7B and 40B: parallel parts, one or two norms",
    .build = &falcon_family::build,
};
}  // namespace tailor::models::entries
