// Recurrent families on hand-made models: RWKV-7 and the delta networks against the papers' equations written out here in double
// precision, one token after the other; the others against families that they must equal where they differ in one thing only.
// The families with independent logits are checked by run/golden_test.cpp.
#include <gtest/gtest.h>

#include "models/tiny_equations.h"
#include "ops/recurrence.h"

namespace tailor::models {
namespace {

using namespace testing;

constexpr double same = 1e-5;

// ---- RWKV-7 ----

constexpr std::int64_t wkv_head = 8;

TinyModel goose(std::int64_t layers) {
    TinyModel m("rwkv7", layers);
    m.set("wkv.head_size", wkv_head);
    m.set("attention.layer_norm_epsilon", 1e-5);
    for (const char* const name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "ffn_norm"}) m.remove_from_layers(std::string(name) + ".weight");
    for (const char* const name : {"token_embd_norm.weight", "token_embd_norm.bias", "output_norm.bias"}) m.add(name, {dim});
    m.add_to_layers("attn_norm.bias", {dim});
    for (const char* const norm : {"attn_norm_2.weight", "attn_norm_2.bias", "time_mix_ln.weight", "time_mix_ln.bias"}) m.add_to_layers(norm, {dim});
    m.add_to_layers("time_mix_lerp_fused.weight", {6, 1, 1, dim});
    for (const char* const vector : {"w0", "a0", "v0", "k_k", "k_a"}) m.add_to_layers("time_mix_" + std::string(vector) + ".weight", {dim});
    m.add_to_layers("time_mix_r_k.weight", {dim / wkv_head, wkv_head});
    for (const char* const rank : {"w", "a", "v", "g"}) {
        m.add_to_layers("time_mix_" + std::string(rank) + "1.weight", {5, dim});
        m.add_to_layers("time_mix_" + std::string(rank) + "2.weight", {dim, 5});
    }
    for (const char* const matrix : {"receptance", "key", "value", "output"}) m.add_to_layers("time_mix_" + std::string(matrix) + ".weight", {dim, dim});
    m.add_to_layers("channel_mix_lerp_k.weight", {1, 1, dim});
    m.add_to_layers("channel_mix_key.weight", {ffn, dim});
    m.add_to_layers("channel_mix_value.weight", {dim, ffn});
    return m;
}

/// What one layer remembers: the inputs of both mixers at the token before, and S [head][value][key] as the paper writes it.
struct GooseLayer {
    Numbers time = Numbers(dim), channel = Numbers(dim), state = Numbers(dim * wkv_head);
};

Numbers goose_time_mix(const TinyModel& m, const std::string& layer, const Numbers& n, GooseLayer& memory, Numbers& first_values) {
    const std::string t = layer + "time_mix_";
    const Numbers mu = values(m, t + "lerp_fused.weight"), difference_of_inputs = memory.time - n;
    const auto use = [&](std::size_t i) { return n + difference_of_inputs * part(mu, i * dim, dim); };
    const auto low_rank = [&](const std::string& name, const Numbers& x, const std::function<double(double, std::size_t)>& f) {
        return apply(m, t + name + "2.weight", each(apply(m, t + name + "1.weight", x), f));
    };
    const auto plain = [](double x, std::size_t) { return x; };
    const Numbers r = apply(m, t + "receptance.weight", use(0)), key = apply(m, t + "key.weight", use(2));
    const Numbers w = each(low_rank("w", use(1), [](double x, std::size_t) { return std::tanh(x); }) + values(m, t + "w0.weight"),
                           [](double x, std::size_t) { return std::exp(-std::exp(-0.5) * sigmoid(x)); });
    Numbers v = apply(m, t + "value.weight", use(3));
    if (first_values.empty()) first_values = v;
    else v = v + (first_values - v) * sigmoids(low_rank("v", use(3), plain) + values(m, t + "v0.weight"));
    const Numbers a = sigmoids(low_rank("a", use(4), plain) + values(m, t + "a0.weight"));
    const Numbers g = low_rank("g", use(5), [](double x, std::size_t) { return sigmoid(x); });
    const Numbers kappa = normalized(key * values(m, t + "k_k.weight"), wkv_head, 0, false) * Numbers{1 / std::sqrt(static_cast<double>(wkv_head))};
    const Numbers k = key * (Numbers(dim, 1.0) + (a - Numbers{1.0}) * values(m, t + "k_a.weight"));
    Numbers y(dim), bonus(dim);
    const Numbers r_k = values(m, t + "r_k.weight");
    for (std::size_t h = 0; h < dim; h += wkv_head) {
        double* const s = memory.state.data() + h * wkv_head;
        for (std::size_t i = 0; i < wkv_head; ++i) {
            double removed = 0;
            for (std::size_t j = 0; j < wkv_head; ++j) removed += s[i * wkv_head + j] * kappa[h + j];
            for (std::size_t j = 0; j < wkv_head; ++j) {
                double& cell = s[i * wkv_head + j];
                cell = cell * w[h + j] - removed * kappa[h + j] * a[h + j] + v[h + i] * k[h + j];
                y[h + i] += cell * r[h + j];
            }
        }
        double product = 0;
        for (std::size_t j = h; j < h + wkv_head; ++j) product += r[j] * r_k[j] * k[j];
        for (std::size_t i = h; i < h + wkv_head; ++i) bonus[i] = product * v[i];
    }
    y = normalized(y, wkv_head, 64e-5, true) * values(m, t + "ln.weight") + values(m, t + "ln.bias");
    memory.time = n;
    return apply(m, t + "output.weight", (y + bonus) * g);
}

Numbers goose_channel_mix(const TinyModel& m, const std::string& layer, const Numbers& n, GooseLayer& memory) {
    const Numbers mixed = n + (memory.channel - n) * values(m, layer + "channel_mix_lerp_k.weight");
    memory.channel = n;
    const Numbers key = apply(m, layer + "channel_mix_key.weight", mixed);
    return apply(m, layer + "channel_mix_value.weight", each(key, [](double x, std::size_t) { return x > 0 ? x * x : 0; }));
}

TEST(Recurrent, Rwkv7FollowsThePaper) {
    const TinyModel m = goose(3);
    std::vector<GooseLayer> memory(3);
    const std::vector<float> expected = one_by_one([&](std::int64_t token) {
        Numbers x = layer_norm(m, "token_embd_norm", embedding(m, token)), first_values;
        for (std::size_t i = 0; i < memory.size(); ++i) {
            const std::string layer = "blk." + std::to_string(i) + ".";
            x = x + goose_time_mix(m, layer, layer_norm(m, layer + "attn_norm", x), memory[i], first_values);
            x = x + goose_channel_mix(m, layer, layer_norm(m, layer + "attn_norm_2", x), memory[i]);
        }
        return apply(m, "token_embd.weight", layer_norm(m, "output_norm", x));
    });
    EXPECT_LT(difference(expected, logits_of(m)), same);
}

// ---- Gated DeltaNet ----

constexpr std::int64_t key_heads = 2, value_heads = 4, key_dim = 6, value_dim = 6, taps = 3;
constexpr std::int64_t all_keys = key_heads * key_dim, all_values = value_heads * value_dim;

void set_delta(TinyModel& m, std::int64_t interval) {
    m.set("full_attention_interval", interval);
    m.set("ssm.conv_kernel", taps);
    m.set("ssm.inner_size", all_values);
    m.set("ssm.state_size", key_dim);
    m.set("ssm.time_step_rank", value_heads);
    m.set("ssm.group_count", key_heads);
    for (const char* const name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm"}) m.remove_from_layers(std::string(name) + ".weight");
    m.add_to_layers("post_attention_norm.weight", {dim});
    m.add_to_layers("ssm_conv1d.weight", {2 * all_keys + all_values, taps});
    m.add_to_layers("ssm_dt.bias", {value_heads});
    for (std::int64_t i = 0; i < m.layers(); ++i) ops::make_negative(m.add("blk." + std::to_string(i) + ".ssm_a", {value_heads}));
    m.add_to_layers("ssm_norm.weight", {value_dim});
    m.add_to_layers("ssm_out.weight", {dim, all_values});
}

/// Every layer a delta network, with the tensors of qwen35.
TinyModel delta_model(const std::string& architecture) {
    TinyModel m(architecture, 2);
    set_delta(m, 100);
    m.add_to_layers("attn_qkv.weight", {2 * all_keys + all_values, dim});
    m.add_to_layers("attn_gate.weight", {all_values, dim});
    m.add_to_layers("ssm_beta.weight", {value_heads, dim});
    m.add_to_layers("ssm_alpha.weight", {value_heads, dim});
    return m;
}

struct DeltaLayer {
    std::vector<Numbers> window = std::vector<Numbers>(taps - 1, Numbers(2 * all_keys + all_values));
    Numbers state = Numbers(value_heads * key_dim * value_dim);  // [head][key][value]
};

/// y for one value head: gated delta rule (Yang et al., 2024, equation 10).
Numbers delta_head(double* s, const Numbers& q, const Numbers& k, const Numbers& v, double keep, double beta) {
    Numbers y(value_dim);
    for (std::size_t j = 0; j < value_dim; ++j) {
        double held = 0;
        for (std::size_t i = 0; i < key_dim; ++i) held += (s[i * value_dim + j] *= keep) * k[i];
        for (std::size_t i = 0; i < key_dim; ++i) {
            s[i * value_dim + j] += k[i] * beta * (v[j] - held);
            y[j] += s[i * value_dim + j] * q[i] / std::sqrt(static_cast<double>(key_dim));
        }
    }
    return y;
}

Numbers delta_layer(const TinyModel& m, const std::string& layer, const Numbers& n, DeltaLayer& memory) {
    memory.window.push_back(apply(m, layer + "attn_qkv.weight", n));
    Numbers mixed(2 * all_keys + all_values);
    const Numbers kernel = values(m, layer + "ssm_conv1d.weight");
    for (std::size_t c = 0; c < mixed.size(); ++c) {
        for (std::size_t j = 0; j < taps; ++j) mixed[c] += kernel[c * taps + j] * memory.window[j][c];
        mixed[c] *= sigmoid(mixed[c]);
    }
    memory.window.erase(memory.window.begin());
    const double unit = 1 / std::sqrt(static_cast<double>(key_dim));
    const Numbers q = normalized(part(mixed, 0, all_keys), key_dim, 1e-6 / key_dim, false) * Numbers{unit};
    const Numbers k = normalized(part(mixed, all_keys, all_keys), key_dim, 1e-6 / key_dim, false) * Numbers{unit};
    const Numbers beta = sigmoids(apply(m, layer + "ssm_beta.weight", n)), alpha = apply(m, layer + "ssm_alpha.weight", n) + values(m, layer + "ssm_dt.bias");
    const Numbers rate = values(m, layer + "ssm_a");
    Numbers y;
    for (std::size_t h = 0; h < value_heads; ++h) {
        const std::size_t key_head = h % key_heads;
        const double keep = std::exp(rate[h] * std::log1p(std::exp(alpha[h])));
        const Numbers head = delta_head(memory.state.data() + h * key_dim * value_dim, part(q, key_head * key_dim, key_dim), part(k, key_head * key_dim, key_dim),
                                        part(mixed, 2 * all_keys + h * value_dim, value_dim), keep, beta[h]);
        y.insert(y.end(), head.begin(), head.end());
    }
    const Numbers z = apply(m, layer + "attn_gate.weight", n);
    return apply(m, layer + "ssm_out.weight", normalized(y, value_dim, 1e-5, false) * values(m, layer + "ssm_norm.weight") * z * sigmoids(z));
}

Numbers swiglu(const TinyModel& m, const std::string& layer, const Numbers& x) {
    const Numbers gate = apply(m, layer + "ffn_gate.weight", x);
    return apply(m, layer + "ffn_down.weight", gate * sigmoids(gate) * apply(m, layer + "ffn_up.weight", x));
}

TEST(Recurrent, DeltaNetworksFollowThePaper) {
    const TinyModel m = delta_model("qwen35");
    std::vector<DeltaLayer> memory(2);
    const std::vector<float> expected = one_by_one([&](std::int64_t token) {
        Numbers x = embedding(m, token);
        for (std::size_t i = 0; i < memory.size(); ++i) {
            const std::string layer = "blk." + std::to_string(i) + ".";
            x = x + delta_layer(m, layer, rms_norm(m, layer + "attn_norm", x), memory[i]);
            x = x + swiglu(m, layer, rms_norm(m, layer + "post_attention_norm", x));
        }
        return apply(m, "token_embd.weight", rms_norm(m, "output_norm", x));
    });
    EXPECT_LT(difference(expected, logits_of(m)), same);
}

/// The rows of `from` in another order: row r of the result is row order[r].
core::Tensor reordered(const core::Tensor& from, const std::vector<std::int64_t>& order) {
    const core::Tensor to = formats::make_tensor(formats::get("f32"), from.shape);
    const std::int64_t width = from.shape.elements() / static_cast<std::int64_t>(order.size());
    for (std::size_t r = 0; r < order.size(); ++r) std::copy_n(from.row_f32(0) + order[r] * width, width, to.row_f32(0) + static_cast<std::int64_t>(r) * width);
    return to;
}

/// Where value head h of a file with neighbouring heads per key head stands in one where every other belongs together.
std::int64_t tiled_head(std::int64_t h) { return h % (value_heads / key_heads) * key_heads + h / (value_heads / key_heads); }

std::vector<std::int64_t> head_order(std::int64_t width, std::int64_t before) {
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < before; ++i) order.push_back(i);
    for (std::int64_t h = 0; h < value_heads; ++h)
        for (std::int64_t i = 0; i < width; ++i) order.push_back(before + tiled_head(h) * width + i);
    return order;
}

/// `m` of qwen35 as qwen3next has it: value heads in order, beta and alpha of a key head together.
TinyModel in_order(const TinyModel& m) {
    TinyModel next = delta_model("qwen3next");
    for (std::int64_t layer = 0; layer < 2; ++layer) {
        const std::string name = "blk." + std::to_string(layer) + ".";
        for (const char* const part_name : {"attn_qkv.weight", "ssm_conv1d.weight"}) next.put(name + part_name, reordered(m.at(name + part_name), head_order(value_dim, 2 * all_keys)));
        next.put(name + "attn_gate.weight", reordered(m.at(name + "attn_gate.weight"), head_order(value_dim, 0)));
        for (const char* const part_name : {"ssm_dt.bias", "ssm_a"}) next.put(name + part_name, reordered(m.at(name + part_name), head_order(1, 0)));
        std::vector<std::int64_t> both;
        for (std::int64_t key_head = 0; key_head < key_heads; ++key_head)
            for (const std::int64_t offset : {std::int64_t{0}, value_heads})
                for (std::int64_t i = 0; i < value_heads / key_heads; ++i) both.push_back(offset + tiled_head(key_head * (value_heads / key_heads) + i));
        next.put(name + "ssm_ba.weight", reordered(stacked({m.at(name + "ssm_beta.weight"), m.at(name + "ssm_alpha.weight")}), both));
        next.remove(name + "ssm_beta.weight"), next.remove(name + "ssm_alpha.weight");
        const core::Tensor out = m.at(name + "ssm_out.weight"), to = formats::make_tensor(formats::get("f32"), out.shape);
        const std::vector<std::int64_t> order = head_order(value_dim, 0);
        for (std::int64_t r = 0; r < dim; ++r)
            for (std::size_t c = 0; c < order.size(); ++c) to.row_f32(r)[c] = out.row_f32(r)[order[c]];
        next.put(name + "ssm_out.weight", to);
    }
    return next;
}

TEST(Recurrent, Qwen3NextIsQwen35InAnotherOrder) {
    const TinyModel m = delta_model("qwen35");
    TinyModel next = in_order(m);
    EXPECT_LT(difference(logits_of(m), logits_of(next)), same);
    // The older files, in which everything of a key head stands together.
    for (std::int64_t layer = 0; layer < 2; ++layer) {
        const std::string name = "blk." + std::to_string(layer) + ".";
        const core::Tensor all = stacked({next.at(name + "attn_qkv.weight"), next.at(name + "attn_gate.weight")});
        std::vector<std::int64_t> order;
        const auto append = [&](std::int64_t begin, std::int64_t count) {
            for (std::int64_t i = 0; i < count; ++i) order.push_back(begin + i);
        };
        const std::int64_t share = all_values / key_heads;
        for (std::int64_t h = 0; h < key_heads; ++h) {
            append(h * key_dim, key_dim), append(all_keys + h * key_dim, key_dim);
            append(2 * all_keys + h * share, share), append(2 * all_keys + all_values + h * share, share);
        }
        next.put(name + "ssm_in.weight", reordered(all, order));
        next.remove(name + "attn_qkv.weight"), next.remove(name + "attn_gate.weight");
    }
    EXPECT_LT(difference(logits_of(m), logits_of(next)), same);
}

// A gate of sigmoid(0) halves what attention says, whatever stands in the rows of the gate.
TEST(Recurrent, GatedAttentionIsAttentionWithAGate) {
    TinyModel plain("qwen3", 2), hybrid("qwen35", 2);
    set_delta(hybrid, 1);
    for (const char* const name : {"ssm_conv1d.weight", "ssm_dt.bias", "ssm_a", "ssm_norm.weight", "ssm_out.weight"}) hybrid.remove_from_layers(name);
    for (TinyModel* const m : {&plain, &hybrid})
        for (const char* const norm : {"attn_q_norm.weight", "attn_k_norm.weight"}) m->add_to_layers(norm, {head_dim});
    for (std::int64_t layer = 0; layer < 2; ++layer) {
        const std::string name = "blk." + std::to_string(layer) + ".";
        const core::Tensor q = plain.at(name + "attn_q.weight"), both = formats::make_tensor(formats::get("f32"), {2 * heads * head_dim, dim});
        for (std::int64_t r = 0; r < heads * head_dim; ++r) std::copy_n(q.row_f32(r), dim, both.row_f32(r / head_dim * 2 * head_dim + r % head_dim));
        hybrid.put(name + "attn_q.weight", both);
        for (const char* const part_name : {"attn_k.weight", "attn_v.weight"}) hybrid.put(name + part_name, plain.at(name + part_name));
        const core::Tensor out = plain.at(name + "attn_output.weight"), doubled = formats::make_tensor(formats::get("f32"), out.shape);
        for (std::int64_t i = 0; i < out.shape.elements(); ++i) doubled.row_f32(0)[i] = 2 * out.row_f32(0)[i];
        hybrid.put(name + "attn_output.weight", doubled);
        hybrid.put(name + "post_attention_norm.weight", plain.at(name + "ffn_norm.weight"));
    }
    EXPECT_LT(difference(logits_of(plain), logits_of(hybrid)), same);
}

// ---- State spaces ----

constexpr std::int64_t inner = 24, state = 5, rank = 3, mamba_heads = 6, mamba_groups = 2;

void set_mamba(TinyModel& m, const std::vector<std::int64_t>& layers) {
    m.set("ssm.conv_kernel", taps);
    m.set("ssm.inner_size", inner);
    m.set("ssm.state_size", state);
    m.set("ssm.time_step_rank", rank);
    for (const std::int64_t i : layers) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        for (const char* const name : {"attn_q", "attn_k", "attn_v", "attn_output"}) m.remove(layer + name + ".weight");
        m.add(layer + "ssm_in.weight", {2 * inner, dim});
        m.add(layer + "ssm_conv1d.weight", {inner, taps});
        m.add(layer + "ssm_conv1d.bias", {inner});
        m.add(layer + "ssm_x.weight", {rank + 2 * state, inner});
        m.add(layer + "ssm_dt.weight", {inner, rank});
        m.add(layer + "ssm_dt.bias", {inner});
        ops::make_negative(m.add(layer + "ssm_a", {inner, state}));
        m.add(layer + "ssm_d", {inner});
        m.add(layer + "ssm_out.weight", {dim, inner});
    }
}

void set_mamba2(TinyModel& m, const std::vector<std::int64_t>& layers) {
    m.set("ssm.conv_kernel", taps);
    m.set("ssm.inner_size", inner);
    m.set("ssm.state_size", state);
    m.set("ssm.time_step_rank", mamba_heads);
    m.set("ssm.group_count", mamba_groups);
    for (const std::int64_t i : layers) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        for (const char* const name : {"attn_q", "attn_k", "attn_v", "attn_output"}) m.remove(layer + name + ".weight");
        const std::int64_t mixed = inner + 2 * mamba_groups * state;
        m.add(layer + "ssm_in.weight", {inner + mixed + mamba_heads, dim});
        m.add(layer + "ssm_conv1d.weight", {mixed, taps});
        m.add(layer + "ssm_conv1d.bias", {mixed});
        m.add(layer + "ssm_dt.bias", {mamba_heads});
        ops::make_negative(m.add(layer + "ssm_a", {mamba_heads, 1}));
        m.add(layer + "ssm_d", {mamba_heads, 1});
        m.add(layer + "ssm_norm.weight", {mamba_groups, inner / mamba_groups});
        m.add(layer + "ssm_out.weight", {dim, inner});
    }
}

void remove_feed_forward(TinyModel& m) {
    for (const char* const name : {"ffn_gate", "ffn_up", "ffn_down", "ffn_norm"}) m.remove_from_layers(std::string(name) + ".weight");
}

TEST(Recurrent, FalconMambaNormalizesWithoutWeights) {
    TinyModel plain("mamba", 2), flagged("mamba", 2), weighted("mamba", 2);
    for (TinyModel* const m : {&plain, &flagged, &weighted}) set_mamba(*m, {0, 1}), remove_feed_forward(*m);
    flagged.metadata().set_boolean("mamba.ssm.dt_b_c_rms", true);
    for (std::int64_t i = 0; i < 2; ++i)
        for (const auto& [name, width] : {std::pair<const char*, std::int64_t>{"ssm_dt_norm", rank}, {"ssm_b_norm", state}, {"ssm_c_norm", state}}) {
            core::Tensor ones = formats::make_tensor(formats::get("f32"), {width});
            std::fill_n(ones.row_f32(0), width, 1.0f);
            weighted.put("blk." + std::to_string(i) + "." + name + ".weight", ones);
        }
    EXPECT_EQ(logits_of(weighted), logits_of(flagged));
    EXPECT_GT(difference(logits_of(plain), logits_of(flagged)), 0.01);
}

TEST(Recurrent, GraniteHybridsAreGraniteOrMamba2) {
    TinyModel attention("granite", 2), hybrid("granitehybrid", 2), recurrent("granitehybrid", 2), mamba2("mamba2", 2);
    set_mamba2(hybrid, {});
    EXPECT_EQ(logits_of(attention), logits_of(hybrid));
    // Without rotary embedding, as converters say for hybrids.
    hybrid.metadata().set_boolean("granitehybrid.rope.scaling.finetuned", false);
    EXPECT_EQ("--", rotations_of(hybrid));
    set_mamba2(mamba2, {0, 1}), set_mamba2(recurrent, {0, 1});
    remove_feed_forward(mamba2);
    recurrent.set("attention.head_count_kv", {0, 0});
    for (std::int64_t i = 0; i < 2; ++i) recurrent.put("blk." + std::to_string(i) + ".ffn_down.weight", formats::make_tensor(formats::get("f32"), {dim, ffn}));
    EXPECT_EQ(logits_of(mamba2), logits_of(recurrent));
    recurrent.set("residual_scale", 0.5);
    EXPECT_GT(difference(logits_of(mamba2), logits_of(recurrent)), 0.01);
}

TEST(Recurrent, MixedStacksPutEachMixerInItsPlace) {
    TinyModel m("granitehybrid", 4);
    m.set("attention.head_count_kv", {0, kv_heads, 0, kv_heads});
    set_mamba2(m, {0, 2});
    const graph::Graph g = graph_of(m);
    EXPECT_EQ(2, count_nodes(g, "ssd"));
    EXPECT_EQ(2, count_nodes(g, "attention"));
    for (const float logit : logits_of(m)) ASSERT_TRUE(std::isfinite(logit));
}

}  // namespace
}  // namespace tailor::models
