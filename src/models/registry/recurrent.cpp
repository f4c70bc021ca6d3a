// The mixers of recurrent layers as graph nodes; see recurrent.h.
#include "models/recurrent.h"

#include <cmath>

#include "core/error.h"

namespace tailor::models {

using core::ErrorKind;
using core::fail;

// Wider than any model; a corrupt file must not ask for terabytes.
constexpr std::int64_t most_width = 1 << 24;

StateSpace read_state_space(const Builder& b, const Config& c) {
    StateSpace s{.inner = b.integer("ssm.inner_size"), .state = b.integer("ssm.state_size"), .step_rank = b.integer("ssm.time_step_rank"),
                 .groups = b.integer("ssm.group_count", 1), .taps = b.integer("ssm.conv_kernel"), .epsilon = c.epsilon};
    s.groups = std::max<std::int64_t>(1, s.groups);
    for (const std::int64_t size : {s.inner, s.state, s.step_rank, s.groups, s.taps})
        if (size < 1 || size > most_width)
            fail(ErrorKind::format, "ssm sizes cannot be: inner_size {}, state_size {}, time_step_rank {}, group_count {}, conv_kernel {}", s.inner, s.state, s.step_rank,
                 s.groups, s.taps);
    return s;
}

Value convolve(Builder& b, const StateSpace& s, Value x, const std::string& name) {
    const std::int64_t width = b.graph.node(x).type.shape.width();
    const Value weight = b.weight(name + ".weight", {width, s.taps}), bias = b.optional_weight(name + ".bias", {width});
    return b.graph.add("silu", {b.graph.add("short_conv", {x, weight, bias}, {}, name)});
}

static Value gated(Builder& b, Value y, Value gate, const std::string& name) {
    return b.graph.add("multiply", {b.graph.add("silu", {gate}), y}, {}, name);
}

// RMSNorm with the weight `name`, or without one where only the metadata asks for it.
static Value inner_norm(Builder& b, const StateSpace& s, Value x, const std::string& name) {
    if (b.has(name + ".weight")) return b.rms_norm(x, name, s.epsilon);
    return b.boolean("ssm.dt_b_c_rms", false) ? b.graph.add("rms_norm", {x}, {{"epsilon", s.epsilon}}, name) : x;
}

Value mamba_mixer(Builder& b, const Config& c, const Layer& l, const StateSpace& s, Value x) {
    const Value both = b.linear(x, l.name + "ssm_in", 2 * s.inner);
    const Value u = convolve(b, s, columns(b, both, 0, s.inner), l.name + "ssm_conv1d"), z = columns(b, both, s.inner, s.inner);
    const Value selected = b.linear(u, l.name + "ssm_x", s.step_rank + 2 * s.state);
    const Value dt = inner_norm(b, s, columns(b, selected, 0, s.step_rank), l.name + "ssm_dt_norm");
    const Value write = inner_norm(b, s, columns(b, selected, s.step_rank, s.state), l.name + "ssm_b_norm");
    const Value read = inner_norm(b, s, columns(b, selected, s.step_rank + s.state, s.state), l.name + "ssm_c_norm");
    const Value step = b.graph.add("softplus", {b.linear(dt, l.name + "ssm_dt", s.inner)});
    const Value a = b.weight_as(l.name + "ssm_a", {s.inner, s.state}), d = b.weight_as(l.name + "ssm_d", {s.inner});
    const Value y = b.graph.add("selective_scan", {u, step, a, write, read, d}, {}, l.name + "ssm_scan");
    return b.linear(gated(b, y, z, l.name + "ssm_gated"), l.name + "ssm_out", c.dim);
}

Value mamba2_mixer(Builder& b, const Config& c, const Layer& l, const StateSpace& s, Value x) {
    const std::int64_t heads = s.step_rank, shared = s.groups * s.state;
    const Value all = b.linear(x, l.name + "ssm_in", 2 * s.inner + 2 * shared + heads);
    const Value z = columns(b, all, 0, s.inner), mixed = convolve(b, s, columns(b, all, s.inner, s.inner + 2 * shared), l.name + "ssm_conv1d");
    const Value step = b.graph.add("softplus", {columns(b, all, 2 * s.inner + 2 * shared, heads), b.weight_as(l.name + "ssm_dt.bias", {heads})});
    const Value a = b.weight_as(l.name + "ssm_a", {heads}), d = b.weight_as(l.name + "ssm_d", {heads});
    Value y = b.graph.add("ssd", {columns(b, mixed, 0, s.inner), step, a, columns(b, mixed, s.inner, shared), columns(b, mixed, s.inner + shared, shared), d},
                          {{"heads", heads}, {"groups", s.groups}}, l.name + "ssm_scan");
    y = gated(b, y, z, l.name + "ssm_gated");
    if (b.has(l.name + "ssm_norm.weight")) y = b.rms_norm(y, l.name + "ssm_norm", s.epsilon, s.inner / s.groups);
    return b.linear(y, l.name + "ssm_out", c.dim);
}

// Every head of x to length 1: rms_norm makes it sqrt(width) long.
static Value unit_heads(Builder& b, Value x, std::int64_t width, double epsilon) {
    const auto n = static_cast<double>(width);
    return scaled(b, b.graph.add("rms_norm", {x}, {{"epsilon", epsilon / n}, {"group", width}}), 1 / std::sqrt(n));
}

Value delta_mixer(Builder& b, const Config& c, const Layer& l, const StateSpace& s, const DeltaInputs& in, std::string_view spread) {
    const std::int64_t heads = s.step_rank, keys = s.groups * s.state, value_dim = s.inner / heads;
    const Value mixed = convolve(b, s, in.qkv, l.name + "ssm_conv1d");
    // The added number under the root keeps a head of zeros finite; 1e-6 as in the published models.
    const Value q = unit_heads(b, columns(b, mixed, 0, keys), s.state, 1e-6), k = unit_heads(b, columns(b, mixed, keys, keys), s.state, 1e-6);
    const Value decay = b.graph.add("softplus", {in.alpha, b.weight_as(l.name + "ssm_dt.bias", {heads})});
    Value y = b.graph.add("gated_delta", {q, k, columns(b, mixed, 2 * keys, s.inner), decay, b.graph.add("sigmoid", {in.beta}), b.weight_as(l.name + "ssm_a", {heads})},
                          {{"heads", heads}, {"key_heads", s.groups}, {"scale", 1 / std::sqrt(static_cast<double>(s.state))}, {"spread", std::string(spread)}},
                          l.name + "ssm_scan");
    y = b.rms_norm(y, l.name + "ssm_norm", s.epsilon, value_dim);
    return b.linear(gated(b, y, in.z, l.name + "ssm_gated"), l.name + "ssm_out", c.dim);
}

Value gated_attention(Builder& b, const Config& c, const Layer& l, Value x) {
    const std::int64_t pair = 2 * c.key_dim;
    Value both, k, v;
    if (b.has(l.name + "attn_qkv.weight")) {
        const std::int64_t q_width = l.heads * pair, k_width = l.kv_heads * c.key_dim, v_width = l.kv_heads * c.value_dim;
        const Value all = b.linear(x, l.name + "attn_qkv", q_width + k_width + v_width);
        both = columns(b, all, 0, q_width), k = columns(b, all, q_width, k_width), v = columns(b, all, q_width + k_width, v_width);
    } else {
        both = b.linear(x, l.name + "attn_q", l.heads * pair);
        k = b.linear(x, l.name + "attn_k", l.kv_heads * c.key_dim), v = b.linear(x, l.name + "attn_v", l.kv_heads * c.value_dim);
    }
    const auto half = [&](std::int64_t begin) { return b.graph.add("columns", {both}, {{"begin", begin}, {"count", c.key_dim}, {"groups", l.heads}}); };
    Heads h{b.rms_norm(half(0), l.name + "attn_q_norm", c.epsilon, c.key_dim), b.rms_norm(k, l.name + "attn_k_norm", c.epsilon, c.key_dim), v};
    rotate(b, c, l, h);
    const Value gate = b.graph.add("sigmoid", {half(c.key_dim)});
    return b.linear(b.graph.add("multiply", {mix_heads(b, c, l, h), gate}, {}, l.name + "attn_gated"), l.name + "attn_output", c.dim);
}

std::vector<bool> recurrent_layers(const Builder& b, const Config& c) {
    const auto count = static_cast<std::int64_t>(c.layers.size());
    const std::int64_t interval = b.integer("full_attention_interval", 4);
    if (interval < 1) fail(ErrorKind::format, "full_attention_interval is {}; it must be at least 1", interval);
    std::vector<bool> recurrent;
    const std::vector<std::int64_t> stated = b.integers("attention.recurrent_layers", count, -1);
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t value = stated[static_cast<std::size_t>(i)];
        recurrent.push_back(value == -1 ? (i + 1) % interval != 0 : value != 0);
    }
    return recurrent;
}

}  // namespace tailor::models
