// Llama 4 (Scout, Maverick): Llama with experts, chunked attention, and layers without positions.
//
// Meta, "The Llama 4 herd", 2025, and the model's published configuration. Per layer:
//     h = x + Wo attention(q, k, Wv n),  n = rms_norm(x)
//     x = h + expert_e(s_e m) + shared(m),  m = rms_norm(h),  s = sigmoid(Wr m), e its largest; or a plain feed-forward part
// Of every four layers three turn queries and keys by their positions, look only at their own chunk of 8,192 tokens, and in Scout
// divide queries and keys by their root mean square; the fourth sees everything and knows no positions (NoPE, Kazemnejad et al.,
// 2023), and scales queries by 1 + 0.1 ln(1 + floor((p + 1) / 8192)). The router's weight goes on the input of the expert.
#include "models/experts.h"

namespace tailor::models::llama4_family {

constexpr std::int64_t period = 4, chunk = 8192, temperature_length = 8192;
constexpr double temperature_factor = 0.1;
// Maverick, the model with 128 experts, was trained without normalized queries and keys; no key of its files says so.
constexpr std::int64_t maverick_experts = 128;

static Value attention(Builder& b, const Config& c, const Layer& l, Value x, bool local, bool normalized) {
    graph::Graph& g = b.graph;
    Heads h = project_heads(b, c, l, x);
    if (!local) {
        h.q = g.add("position_scale", {h.q, b.positions}, {{"length", temperature_length}, {"factor", temperature_factor}}, l.name + "scaled_q");
        return attend(b, c, l, h);
    }
    rotate(b, c, l, h);
    if (normalized)
        for (Value* const part : {&h.q, &h.k}) *part = g.add("rms_norm", {*part}, {{"epsilon", c.epsilon}, {"group", c.key_dim}});
    return attend(b, c, l, h, {{"chunk", b.integer("attention.chunk_size", chunk)}});
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const Experts e = read_experts(b, {.scoring = "sigmoid", .weigh_input = true});
    // A window of 0 marks the small variants in which all layers have positions and see everything.
    const bool all_rotate = b.integer("attention.sliding_window", -1) == 0;
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        const bool local = all_rotate || l.index % period != period - 1;
        x = add(b, x, attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon), local, e.count != maverick_experts));
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"llama4"};

}  // namespace tailor::models::llama4_family

namespace tailor::models::entries {
extern const Model llama4 = {
    .name = "llama4",
    .architectures = llama4_family::architectures,
    .doc = "Llama 4: experts weighed at their input, chunked attention, every fourth layer without positions",
    .build = &llama4_family::build,
};
}  // namespace tailor::models::entries
