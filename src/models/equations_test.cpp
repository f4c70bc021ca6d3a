// Families whose GGUF names are Tailor's own, against their papers' equations written out in double precision, one token after the other:
// no other program can run their files.
#include <gtest/gtest.h>

#include "models/tiny_equations.h"

namespace tailor::models {
namespace {

using namespace testing;

constexpr double same = 1e-5;

void remove_feed_forward(TinyModel& m) {
    for (const char* const name : {"ffn_gate", "ffn_up", "ffn_down", "ffn_norm"}) m.remove_from_layers(std::string(name) + ".weight");
}

Numbers silu(const Numbers& x) { return x * sigmoids(x); }

Numbers gated_feed_forward_of(const TinyModel& m, const std::string& layer, const Numbers& x) {
    const Numbers n = rms_norm(m, layer + "ffn_norm", x);
    return apply(m, layer + "ffn_down.weight", silu(apply(m, layer + "ffn_gate.weight", n)) * apply(m, layer + "ffn_up.weight", n));
}

// ---- Gated linear attention ----

/// One head: S = diag(a) S + k v^T, then S^T q / sqrt(d).
Numbers gla_head(double* s, const Numbers& q, const Numbers& k, const Numbers& v, const Numbers& decay) {
    Numbers y(v.size());
    for (std::size_t i = 0; i < k.size(); ++i)
        for (std::size_t j = 0; j < v.size(); ++j) {
            double& cell = s[i * v.size() + j];
            cell = decay[i] * cell + k[i] * v[j];
            y[j] += cell * q[i] / std::sqrt(static_cast<double>(q.size()));
        }
    return y;
}

TEST(Equations, GatedLinearAttention) {
    TinyModel m("gla", 2);
    m.set("decay_rank", std::int64_t{3});
    for (const char* const name : {"attn_k", "attn_v", "attn_gate"}) m.add_to_layers(std::string(name) + ".weight", {dim, dim});
    m.add_to_layers("attn_decay_a.weight", {3, dim});
    m.add_to_layers("attn_decay_b.weight", {dim, 3});
    m.add_to_layers("attn_decay_b.bias", {dim});
    m.add_to_layers("attn_head_norm.weight", {head_dim});
    std::vector<Numbers> memory(2, Numbers(dim * head_dim));
    const std::vector<float> expected = one_by_one([&](std::int64_t token) {
        Numbers x = embedding(m, token);
        for (std::size_t i = 0; i < 2; ++i) {
            const std::string layer = "blk." + std::to_string(i) + ".";
            const Numbers n = rms_norm(m, layer + "attn_norm", x);
            const Numbers q = apply(m, layer + "attn_q.weight", n), k = apply(m, layer + "attn_k.weight", n), v = apply(m, layer + "attn_v.weight", n);
            const Numbers open = apply(m, layer + "attn_decay_b.weight", apply(m, layer + "attn_decay_a.weight", n)) + values(m, layer + "attn_decay_b.bias");
            const Numbers decay = each(open, [](double z, std::size_t) { return std::pow(sigmoid(z), 1.0 / 16); });
            Numbers y;
            for (std::size_t h = 0; h < heads; ++h) {
                const auto head = [&](const Numbers& all) { return part(all, h * head_dim, head_dim); };
                const Numbers o = normalized(gla_head(memory[i].data() + h * head_dim * head_dim, head(q), head(k), head(v), head(decay)), head_dim, 1e-5, false) *
                                  values(m, layer + "attn_head_norm.weight");
                y.insert(y.end(), o.begin(), o.end());
            }
            x = x + apply(m, layer + "attn_output.weight", y * silu(apply(m, layer + "attn_gate.weight", n)));
            x = x + gated_feed_forward_of(m, layer, x);
        }
        return apply(m, "token_embd.weight", rms_norm(m, "output_norm", x));
    });
    EXPECT_LT(difference(expected, logits_of(m)), same);
    m.set("decay_temperature", 1.0);
    EXPECT_GT(difference(expected, logits_of(m)), 1e-3) << "the root matters";
}

// ---- LSTM ----

struct Cells {
    Numbers h = Numbers(dim), c = Numbers(dim);
};

/// Gates i, f, g, o side by side; R is block-diagonal over heads.
Numbers lstm_step(const TinyModel& m, const std::string& layer, const Numbers& gates, Cells& cells, std::size_t cell_heads) {
    const core::Tensor recurrent = m.at(layer + "lstm_recurrent.weight");
    const std::size_t width = dim / cell_heads;
    Numbers all = gates;
    for (std::size_t row = 0; row < all.size(); ++row)
        for (std::size_t i = 0; i < width; ++i) all[row] += static_cast<double>(recurrent.row_f32(static_cast<std::int64_t>(row))[i]) * cells.h[row % dim / width * width + i];
    for (std::size_t u = 0; u < dim; ++u) {
        cells.c[u] = sigmoid(all[dim + u]) * cells.c[u] + sigmoid(all[u]) * std::tanh(all[2 * dim + u]);
    }
    for (std::size_t u = 0; u < dim; ++u) cells.h[u] = sigmoid(all[3 * dim + u]) * std::tanh(cells.c[u]);
    return cells.h;
}

TEST(Equations, LongShortTermMemory) {
    for (const std::int64_t cell_heads : {1, 4}) {
        TinyModel m("lstm", 2);
        if (cell_heads > 1) m.set("cell_heads", cell_heads);
        for (const char* const name : {"attn_q", "attn_k", "attn_v", "attn_output"}) m.remove_from_layers(std::string(name) + ".weight");
        m.add_to_layers("lstm_in.weight", {4 * dim, dim});
        m.add_to_layers("lstm_in.bias", {4 * dim});
        m.add_to_layers("lstm_recurrent.weight", {4 * dim, dim / cell_heads});
        std::vector<Cells> cells(2);
        const std::vector<float> expected = one_by_one([&](std::int64_t token) {
            Numbers x = embedding(m, token);
            for (std::size_t i = 0; i < 2; ++i) {
                const std::string layer = "blk." + std::to_string(i) + ".";
                const Numbers gates = apply(m, layer + "lstm_in.weight", rms_norm(m, layer + "attn_norm", x)) + values(m, layer + "lstm_in.bias");
                x = x + lstm_step(m, layer, gates, cells[i], static_cast<std::size_t>(cell_heads));
                x = x + gated_feed_forward_of(m, layer, x);
            }
            return apply(m, "token_embd.weight", rms_norm(m, "output_norm", x));
        });
        EXPECT_LT(difference(expected, logits_of(m)), same) << cell_heads << " heads";
        m.set("feed_forward_length", std::int64_t{0});
        remove_feed_forward(m);
        EXPECT_GT(difference(expected, logits_of(m)), 1e-3) << "a layer may do without a feed-forward part";
    }
}

// ---- KAT ----

Numbers rational_of(const TinyModel& m, const std::string& name, const Numbers& x, std::size_t groups) {
    const Numbers above = values(m, name + ".numerator"), below = values(m, name + ".denominator");
    return each(x, [&](double v, std::size_t column) {
        const std::size_t group = column * groups / x.size();
        double p = 0, q = 0;
        for (std::size_t i = 0; i < 6; ++i) p += above[6 * group + i] * std::pow(v, static_cast<double>(i));
        for (std::size_t j = 0; j < 4; ++j) q += below[4 * group + j] * std::pow(v, static_cast<double>(j + 1));
        return p / (1 + std::fabs(q));
    });
}

TEST(Equations, KolmogorovArnoldTransformer) {
    TinyModel m("kat", 2);
    m.set("activation_groups", std::int64_t{4});
    m.remove_from_layers("ffn_gate.weight");
    for (const char* const act : {"ffn_act_1", "ffn_act_2"}) {
        m.add_to_layers(std::string(act) + ".numerator", {24});
        m.add_to_layers(std::string(act) + ".denominator", {16});
    }
    // Llama's attention is checked elsewhere; without what it adds, the rational layers stand alone.
    for (std::int64_t i = 0; i < 2; ++i) {
        const core::Tensor out = m.at("blk." + std::to_string(i) + ".attn_output.weight");
        std::fill_n(out.row_f32(0), out.shape.elements(), 0.0f);
    }
    const std::vector<float> expected = one_by_one([&](std::int64_t token) {
        Numbers x = embedding(m, token);
        for (std::size_t i = 0; i < 2; ++i) {
            const std::string layer = "blk." + std::to_string(i) + ".";
            const Numbers n = rational_of(m, layer + "ffn_act_1", rms_norm(m, layer + "ffn_norm", x), 4);
            x = x + apply(m, layer + "ffn_down.weight", rational_of(m, layer + "ffn_act_2", apply(m, layer + "ffn_up.weight", n), 4));
        }
        return apply(m, "token_embd.weight", rms_norm(m, "output_norm", x));
    });
    EXPECT_LT(difference(expected, logits_of(m)), same);
    for (std::int64_t i = 0; i < 2; ++i) m.add("blk." + std::to_string(i) + ".attn_output.weight", {dim, dim});
    EXPECT_GT(difference(expected, logits_of(m)), 1e-3) << "attention takes part";
}

}  // namespace
}  // namespace tailor::models
