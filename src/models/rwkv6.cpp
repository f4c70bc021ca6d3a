// RWKV-6 "Finch": linear attention with data-dependent decay, and mixing with the token before.
//
// Peng et al., "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence", 2024, sections 4.2 and 4.3. Per layer:
//     h = x + time_mix(n, n'),  x = h + channel_mix(m, m'),   n = layer_norm(x), m = layer_norm(h)
// where ' is the same for the token before. Time mixing interpolates between n and n' for each of five uses i in {w, k, v, r, g},
//     n_i = n + (n' - n) * (mu_i + W2_i tanh(W1 (n + (n' - n) * mu_x)))
//     r, k, v = Wr n_r, Wk n_k, Wv n_v;  g = silu(Wg n_g);  log w = -exp(d + D2 tanh(D1 n_w));  y = rwkv6(r, k, v, w, u)
//     Wo (group_norm(y) * g)
// and channel mixing is sigmoid(Wr m_r) * Wv relu(Wk m_k)^2. The residual stream is halved every rescale_every_n_layers layers,
// against which converters scale the output weights of the layers.
#include "core/error.h"
#include "models/blocks.h"

namespace tailor::models::rwkv6_family {

// Of the norm over heads: the paper's code uses 1e-5 times the square of 8, the factor by which heads are divided.
constexpr double head_epsilon = 64e-5;

static Value activated(Builder& b, std::string_view op, Value x) { return b.graph.add(op, {x}); }

// The input of use `i` (of w k v r g): n towards its predecessor by a weight per row.
static Value mixed(Builder& b, const Config& c, const std::string& name, Value n, Value before, Value weights, std::int64_t i) {
    constexpr std::string_view uses = "wkvrg";
    Value weight = columns(b, weights, i * c.dim, c.dim);
    const std::string own = name + "time_mix_lerp_" + uses[static_cast<std::size_t>(i)] + ".weight";
    if (b.has(own)) weight = b.graph.add("scale", {weight, graph::absent, b.weight_as(own, {c.dim})});
    return b.graph.add("lerp", {n, before, weight});
}

static Value time_mix(Builder& b, const Config& c, const Layer& l, std::int64_t heads, Value n) {
    const std::string name = l.name + "time_mix_";
    const std::int64_t rank = b.rows_of(name + "w1.weight") / 5;
    const Value before = b.graph.add("token_shift", {n}, {}, l.name + "time_shift");
    const Value coarse = b.graph.add("lerp", {n, before, b.weight_as(name + "lerp_x.weight", {c.dim})});
    const Value narrow = activated(b, "tanh", b.linear(coarse, name + "w1", 5 * rank));
    const Value fused = b.has(name + "lerp_fused.weight") ? b.weight_as(name + "lerp_fused.weight", {5 * c.dim}) : graph::absent;
    const Value weights = b.graph.add("grouped_matmul", {narrow, b.weight(name + "w2.weight", {5, c.dim, rank}), fused}, {}, name + "w2");
    Value use[5];
    for (std::int64_t i = 0; i < 5; ++i) use[i] = mixed(b, c, l.name, n, before, weights, i);
    const std::int64_t decay_rank = b.rows_of(name + "decay_w1.weight");
    Value decay = b.linear(activated(b, "tanh", b.linear(use[0], name + "decay_w1", decay_rank)), name + "decay_w2", c.dim);
    decay = b.graph.add("scale", {decay, graph::absent, b.weight_as(name + "decay.weight", {c.dim})});
    decay = scaled(b, activated(b, "exp", decay), -1);
    const Value k = b.linear(use[1], name + "key", c.dim), v = b.linear(use[2], name + "value", c.dim), r = b.linear(use[3], name + "receptance", c.dim);
    const Value gate = b.linear(use[4], name + "gate", c.dim), bonus = b.weight_as(name + "first.weight", {heads, c.dim / heads});
    Value y = b.graph.add("rwkv6", {r, k, v, decay, bonus}, {{"heads", heads}}, l.name + "wkv");
    // One weight per column, so heads do not share theirs.
    y = b.graph.add("layer_norm", {y, b.weight_as(name + "ln.weight", {c.dim}), b.weight_as(name + "ln.bias", {c.dim})},
                    {{"epsilon", head_epsilon}, {"group", c.dim / heads}}, name + "ln");
    return b.linear(b.graph.add("multiply", {activated(b, "silu", gate), y}, {}, name + "gated"), name + "output", c.dim);
}

static Value channel_mix(Builder& b, const Config& c, const Layer& l, Value m) {
    const std::string name = l.name + "channel_mix_";
    const Value before = b.graph.add("token_shift", {m}, {}, l.name + "channel_shift");
    const Value for_key = b.graph.add("lerp", {m, before, b.weight_as(name + "lerp_k.weight", {c.dim})});
    const Value for_gate = b.graph.add("lerp", {m, before, b.weight_as(name + "lerp_r.weight", {c.dim})});
    const Value key = activated(b, "relu_squared", b.linear(for_key, name + "key", l.ffn));
    const Value gate = activated(b, "sigmoid", b.linear(for_gate, name + "receptance", c.dim));
    return b.graph.add("multiply", {gate, b.linear(key, name + "value", c.dim)}, {}, name + "gated");
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const std::int64_t head = b.integer("wkv.head_size"), rescale = b.integer("rescale_every_n_layers", 0);
    if (head < 1 || c.dim % head != 0) core::fail(core::ErrorKind::format, "rwkv6.wkv.head_size is {}; {} columns are no whole number of heads", head, c.dim);
    Value x = b.layer_norm(embed(b, c), "token_embd_norm", c.epsilon);
    for (const Layer& l : c.layers) {
        x = add(b, x, time_mix(b, c, l, c.dim / head, b.layer_norm(x, l.name + "attn_norm", c.epsilon)), l.name + "time_residual");
        x = add(b, x, channel_mix(b, c, l, b.layer_norm(x, l.name + "attn_norm_2", c.epsilon)), l.name + "channel_residual");
        if (rescale > 0 && (l.index + 1) % rescale == 0) x = scaled(b, x, 0.5);
    }
    return logits(b, c, b.layer_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"rwkv6"};

}  // namespace tailor::models::rwkv6_family

namespace tailor::models::entries {
extern const Model rwkv6 = {
    .name = "rwkv6",
    .architectures = rwkv6_family::architectures,
    .doc = "RWKV-6 Finch: linear attention with data-dependent decay",
    .build = &rwkv6_family::build,
};
}  // namespace tailor::models::entries
