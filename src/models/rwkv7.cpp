// RWKV-7 "Goose": a generalized delta rule with learning rates in context, and mixing with the token before.
//
// Peng et al., "RWKV-7 Goose with Expressive Dynamic State Evolution", 2025, sections 4.1 and 4.2. Per layer:
//     h = x + time_mix(n, n'),  x = h + channel_mix(m, m'),   n = layer_norm(x), m = layer_norm(h)
// where ' is the same for the token before, and n_i = n + (n' - n) * mu_i for the uses i in {r, w, k, v, a, g}:
//     r, k, v = Wr n_r, Wk n_k, Wv n_v;   log w = -exp(-1/2) sigmoid(w0 + w2 tanh(w1 n_w));   a = sigmoid(a0 + a2 a1 n_a)
//     v = v + (v of layer 0 - v) * sigmoid(v0 + v2 v1 n_v);   g = g2 sigmoid(g1 n_g)
//     kappa = k * k_k, each head of length 1;   k = k * (1 + (a - 1) * k_a)
//     y = group_norm(rwkv7(r, w, k, v, -kappa, kappa * a)) + v * (r . r_k . k per head);   Wo (y * g)
// Channel mixing is Wv relu(Wk m_k)^2.
#include <cmath>

#include "core/error.h"
#include "models/blocks.h"

namespace tailor::models::rwkv7_family {

// Of the norm over heads; see rwkv6.cpp.
constexpr double head_epsilon = 64e-5;
// exp(-1/2): the strongest decay per token is exp(-0.6065) = 0.545.
constexpr double strongest_log_decay = -0.606531;

static Value activated(Builder& b, std::string_view op, Value x) { return b.graph.add(op, {x}); }
static Value multiply(Builder& b, Value x, Value y) { return b.graph.add("multiply", {x, y}); }

// bias + W2 f(W1 x) with `name`0 (if it is not empty), `name`1 and `name`2; f is the operator `between`, or nothing.
static Value low_rank(Builder& b, const Config& c, Value x, const std::string& name, std::string_view between, bool biased) {
    Value narrow = b.linear(x, name + "1", b.rows_of(name + "1.weight"));
    if (!between.empty()) narrow = activated(b, between, narrow);
    const Value wide = b.linear(narrow, name + "2", c.dim);
    return biased ? b.graph.add("scale", {wide, graph::absent, b.weight_as(name + "0.weight", {c.dim})}) : wide;
}

static Value time_mix(Builder& b, const Config& c, const Layer& l, std::int64_t heads, Value n, Value& first_values) {
    const std::string name = l.name + "time_mix_";
    const std::int64_t width = c.dim / heads;
    const bool gating = b.has(name + "g1.weight");
    const Value before = b.graph.add("token_shift", {n}, {}, l.name + "time_shift");
    const auto use = [&](std::int64_t i) {
        return b.graph.add("lerp", {n, before, b.weight_part(name + "lerp_fused.weight", gating ? 6 : 5, i, {c.dim})});
    };
    const Value r = b.linear(use(0), name + "receptance", c.dim), for_value = use(3);
    const Value decay = scaled(b, activated(b, "sigmoid", low_rank(b, c, use(1), name + "w", "tanh", true)), strongest_log_decay);
    const Value raw_key = b.linear(use(2), name + "key", c.dim);
    Value v = b.linear(for_value, name + "value", c.dim);
    if (first_values == graph::absent) {
        first_values = v;
        b.leave_out(name + "v0"), b.leave_out(name + "v1"), b.leave_out(name + "v2");  // files have them in the first layer too
    } else {
        v = b.graph.add("lerp", {v, first_values, activated(b, "sigmoid", low_rank(b, c, for_value, name + "v", "", true))});
    }
    const Value rate = activated(b, "sigmoid", low_rank(b, c, use(4), name + "a", "", true));
    const auto n_width = static_cast<double>(width);
    Value kappa = b.graph.add("column_scale", {raw_key, b.weight_as(name + "k_k.weight", {c.dim})});
    kappa = scaled(b, b.graph.add("rms_norm", {kappa}, {{"epsilon", 1e-24 / n_width}, {"group", width}}), 1 / std::sqrt(n_width));
    const Value k = b.graph.add("lerp", {raw_key, multiply(b, raw_key, rate), b.weight_as(name + "k_a.weight", {c.dim})});
    Value y = b.graph.add("rwkv7", {r, decay, k, v, scaled(b, kappa, -1), multiply(b, kappa, rate)}, {{"heads", heads}}, l.name + "wkv");
    if (b.has(name + "ln.weight"))
        y = b.graph.add("layer_norm", {y, b.weight_as(name + "ln.weight", {c.dim}), b.weight_as(name + "ln.bias", {c.dim})},
                        {{"epsilon", head_epsilon}, {"group", width}}, name + "ln");
    y = add(b, y, b.graph.add("head_bonus", {r, k, v, b.weight_as(name + "r_k.weight", {heads, width})}, {{"heads", heads}}));
    if (gating) y = multiply(b, y, low_rank(b, c, use(5), name + "g", "sigmoid", false));
    return b.linear(y, name + "output", c.dim);
}

static Value channel_mix(Builder& b, const Config& c, const Layer& l, Value m) {
    const std::string name = l.name + "channel_mix_";
    const Value before = b.graph.add("token_shift", {m}, {}, l.name + "channel_shift");
    const Value mixed = b.graph.add("lerp", {m, before, b.weight_as(name + "lerp_k.weight", {c.dim})});
    return b.linear(activated(b, "relu_squared", b.linear(mixed, name + "key", l.ffn)), name + "value", c.dim);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const std::int64_t head = b.integer("wkv.head_size");
    if (head < 1 || c.dim % head != 0) core::fail(core::ErrorKind::format, "rwkv7.wkv.head_size is {}; {} columns are no whole number of heads", head, c.dim);
    Value x = b.layer_norm(embed(b, c), "token_embd_norm", c.epsilon), first_values = graph::absent;
    for (const Layer& l : c.layers) {
        x = add(b, x, time_mix(b, c, l, c.dim / head, b.layer_norm(x, l.name + "attn_norm", c.epsilon), first_values), l.name + "time_residual");
        x = add(b, x, channel_mix(b, c, l, b.layer_norm(x, l.name + "attn_norm_2", c.epsilon)), l.name + "channel_residual");
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"rwkv7"};

}  // namespace tailor::models::rwkv7_family

namespace tailor::models::entries {
extern const Model rwkv7 = {
    .name = "rwkv7",
    .architectures = rwkv7_family::architectures,
    .doc = "RWKV-7 Goose: a generalized delta rule",
    .build = &rwkv7_family::build,
};
}  // namespace tailor::models::entries
