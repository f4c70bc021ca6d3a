// BitNet b1.58: Llama's layer with ternary matrices, and a norm in front of each part's last matrix.
//
// Ma et al., "The Era of 1-bit LLMs", 2024; Wang et al., "BitNet", 2023, section 2 (the additional norms). Per layer:
//     h = x + Wo rms_norm(attention(rope(Wq n), rope(Wk n), Wv n)),  n = rms_norm(x)
//     x = h + Wdown rms_norm(silu(Wgate m) * Wup m),                 m = rms_norm(h)
// A ternary matrix has one scale, which a file may keep beside it (attn_q.scale, ...): Builder::linear applies it. BitNet
// b1.58 2B4T ("bitnet-b1.58") gates by squared ReLU instead of SiLU. Activations are not rounded to 8 bits here.
#include "models/blocks.h"

namespace tailor::models::bitnet_family {

static Value attention(Builder& b, const Config& c, const Layer& l, Value x) {
    Heads h = project_heads(b, c, l, x);
    rotate(b, c, l, h);
    return b.linear(b.rms_norm(mix_heads(b, c, l, h), l.name + "attn_sub_norm", c.epsilon), l.name + "attn_output", c.dim);
}

static Value feed_forward(Builder& b, const Config& c, const Layer& l, Value x, std::string_view activation) {
    const Value gate = b.graph.add(activation, {b.linear(x, l.name + "ffn_gate", l.ffn)}), up = b.linear(x, l.name + "ffn_up", l.ffn);
    const Value inner = b.graph.add("multiply", {gate, up}, {}, l.name + "ffn_act");
    return b.linear(b.rms_norm(inner, l.name + "ffn_sub_norm", c.epsilon), l.name + "ffn_down", c.dim);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const bool squared = b.metadata.text("general.architecture") != "bitnet";
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), squared ? "relu_squared" : "silu"));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"bitnet", "bitnet-b1.58", "bitnet-25"};

}  // namespace tailor::models::bitnet_family

namespace tailor::models::entries {
extern const Model bitnet = {
    .name = "bitnet",
    .architectures = bitnet_family::architectures,
    .doc = "BitNet b1.58: ternary matrices with scales, additional norms",
    .build = &bitnet_family::build,
};
}  // namespace tailor::models::entries
