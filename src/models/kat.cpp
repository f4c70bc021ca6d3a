// KAT: the Kolmogorov-Arnold transformer, a decoder whose activations are learned.
//
// Yang and Wang, "Kolmogorov-Arnold Transformer", 2024: in place of the feed-forward part stand two group-rational layers, each a
// quotient of polynomials per group of columns followed by a matrix (section 4.2, equations 8 to 10). Here it is a language model, so
// attention looks back only and is Llama's. Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),   n = rms_norm(x)
//     x = h + Wdown R2(Wup R1(m)),   m = rms_norm(h),   R(z) = (a_0 + a_1 z + ... + a_5 z^5) / (1 + |b_1 z + ... + b_4 z^4|)
// R1 begins as the identity and R2 as SiLU (section 4.4). No GGUF file of this architecture is in use elsewhere, so its names are Tailor's:
// architecture "kat"; ffn_act_1 and ffn_act_2 with .numerator [groups * 6] and .denominator [groups * 4], vectors because no optimizer
// should take a table of coefficients for a matrix; key kat.activation_groups (8, as in the paper).
#include "core/error.h"
#include "models/blocks.h"

namespace tailor::models::kat_family {

constexpr std::int64_t numerators = 6, denominators = 4;  // degrees 5 and 4: section 5.1

static Value coefficients(Builder& b, const std::string& name, std::int64_t groups, std::int64_t count) {
    return b.graph.add("reshape", {b.weight(name, {groups * count})}, {{"rank", std::int64_t{2}}, {"dimension_0", groups}, {"dimension_1", count}}, name + "s");
}

static Value rational(Builder& b, Value x, const std::string& name, std::int64_t groups) {
    const std::int64_t width = b.graph.node(x).type.shape.width();
    if (groups < 1 || width % groups != 0) core::fail(core::ErrorKind::format, "kat.activation_groups is {}; {} columns are no whole number of groups", groups, width);
    return b.graph.add("rational", {x, coefficients(b, name + ".numerator", groups, numerators), coefficients(b, name + ".denominator", groups, denominators)}, {}, name);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const std::int64_t groups = b.integer("activation_groups", 8);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        const Value wide = b.linear(rational(b, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), l.name + "ffn_act_1", groups), l.name + "ffn_up", l.ffn);
        x = add(b, x, b.linear(rational(b, wide, l.name + "ffn_act_2", groups), l.name + "ffn_down", c.dim));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"kat"};

}  // namespace tailor::models::kat_family

namespace tailor::models::entries {
extern const Model kat = {
    .name = "kat",
    .architectures = kat_family::architectures,
    .doc = "Kolmogorov-Arnold transformer: rotary attention, and learned rational activations in the feed-forward part",
    .build = &kat_family::build,
};
}  // namespace tailor::models::entries
