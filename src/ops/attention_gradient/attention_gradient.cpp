// Attention gradient: what attention over whole sequences hands back to queries, keys, values, sinks and biases.
//
// For head h of row r with P = softmax(f(scale q K^T)) and the gradient o of its output:
//     dV += P^T o,    dP = o V^T,    dS = P (dP - sum over keys of P dP) f',    dq = scale dS K,    dK += scale dS^T q
// Scores are computed anew from q and k, block by block, so that nothing of the size rows x rows is kept: Dao, "FlashAttention-2", 2023,
// algorithm 2. There the row sums come from the forward pass; here a block of 32 queries sees all its keys at once, in the second-level
// cache, and needs neither those nor the output.
// Rows are whole sequences from position 0, so key j of a sequence is its row j and no cache is read. Attributes, sinks and
// biases are attention's.
#include <algorithm>
#include <cmath>

#include "ops/attention/kernels.h"
#include "ops/attention_gradient/kernel.h"
#include "ops/pair_product.h"
#include "ops/sequences.h"
#include "ops/support.h"

namespace tailor::ops::attention_gradient_kernels {

using attention_kernels::Keys;
using attention_kernels::Mask;
using attention_kernels::Scoring;

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 2, 5}) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), kv_heads = node.attributes.integer("kv_heads");
    const core::Shape &q = node.inputs[0].shape, &k = node.inputs[1].shape, &v = node.inputs[2].shape;
    require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0 && q.width() % heads == 0, "attention_gradient: heads must be a multiple of kv heads and divide the width", node);
    require(k == core::Shape({q.rows(), q.width() / heads * kv_heads}) && v.rows() == q.rows() && v.width() % kv_heads == 0, "attention_gradient: k and v must have the rows of q", node);
    require(node.inputs[5].shape == core::Shape({q.rows(), v.width() / kv_heads * heads}), "attention_gradient: the gradient must be [rows, heads * value_dim]", node);
    require(q.width() / heads <= attention_kernels::most_head_dim && v.width() / kv_heads <= attention_kernels::most_head_dim, "attention_gradient: heads wider than 576 are not supported", node);
    std::int64_t numbers = q.elements() + k.elements() + v.elements();
    for (const std::size_t i : {3, 4})
        if (node.input(i)) require_f32(node, i), numbers += node.inputs[i].shape.elements();
    return f32({numbers});
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t heads = node.attributes.integer("heads"), kv_heads = node.attributes.integer("kv_heads");
    return gradient_scratch_bytes(node.inputs[0].shape.rows(), heads, kv_heads, node.inputs[0].shape.width() / heads, node.inputs[2].shape.width() / kv_heads);
}

// ---- The definition ----

namespace {

/// All rows and gradients in double.
struct InDouble {
    std::vector<std::vector<double>> q, k, v, o, dq, dk, dv;
    std::vector<double> sinks, bias;
};

/// One score and what it took to make it.
struct Score {
    double value, slope;
};

Score score_of(const Scoring& scoring, double product, std::int64_t head, std::int64_t distance) {
    Score score{product, 1};
    if (scoring.softcap > 0) {
        const double share = std::tanh(product / scoring.softcap);
        score = {scoring.softcap * share, 1 - share * share};
    }
    if (scoring.alibi > 0) score.value += scoring.slope(head) * static_cast<double>(distance);
    if (scoring.bias) score.value += scoring.bias_at(head, distance);
    return score;
}

/// Head `h` of the row `rows[i]`.
void reference_head(const Call& call, const Scoring& scoring, std::span<const std::int32_t> rows, std::size_t i, std::int64_t h, InDouble& all) {
    const std::int64_t heads = call.attributes.integer("heads"), group = h / (heads / call.attributes.integer("kv_heads"));
    const auto row = static_cast<std::size_t>(rows[i]);
    const std::int64_t dim = static_cast<std::int64_t>(all.q[row].size()) / heads, value_dim = static_cast<std::int64_t>(all.o[row].size()) / heads;
    const double scale = call.attributes.real("scale");
    const double *const q = all.q[row].data() + h * dim, *const o = all.o[row].data() + h * value_dim;
    const Keys keys = Mask(call).of(call.batch, rows[i]);
    std::vector<double> p, slopes, dp;
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
        const auto at = static_cast<std::size_t>(rows[static_cast<std::size_t>(j)]);
        double product = 0, back = 0;
        for (std::int64_t e = 0; e < dim; ++e) product += q[e] * all.k[at][static_cast<std::size_t>(group * dim + e)];
        for (std::int64_t e = 0; e < value_dim; ++e) back += o[e] * all.v[at][static_cast<std::size_t>(group * value_dim + e)];
        const Score score = score_of(scoring, product * scale, h, j - static_cast<std::int64_t>(i));
        p.push_back(score.value), slopes.push_back(score.slope), dp.push_back(back);
    }
    double most = *std::max_element(p.begin(), p.end());
    if (scoring.sinks) most = std::max(most, static_cast<double>(scoring.sinks[h]));
    double total = scoring.sinks ? std::exp(scoring.sinks[h] - most) : 0, mean = 0;
    const double sink = total;
    for (double& v : p) total += v = std::exp(v - most);
    for (std::size_t j = 0; j < p.size(); ++j) mean += (p[j] /= total) * dp[j];
    if (scoring.sinks) all.sinks[static_cast<std::size_t>(h)] -= sink / total * mean;
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
        const auto n = static_cast<std::size_t>(j - keys.begin), at = static_cast<std::size_t>(rows[static_cast<std::size_t>(j)]);
        const double back = p[n] * (dp[n] - mean), ds = back * slopes[n] * scale;
        if (scoring.bias) {
            const std::int64_t d = scoring.most_distance, distance = std::clamp(j - static_cast<std::int64_t>(i), -d, d);
            all.bias[static_cast<std::size_t>(h * (2 * d + 1) + distance + d)] += back;
        }
        for (std::int64_t e = 0; e < dim; ++e) {
            const auto key = static_cast<std::size_t>(group * dim + e);
            all.dq[row][static_cast<std::size_t>(h * dim + e)] += ds * all.k[at][key];
            all.dk[at][key] += ds * q[e];
        }
        for (std::int64_t e = 0; e < value_dim; ++e) all.dv[at][static_cast<std::size_t>(group * value_dim + e)] += p[n] * o[e];
    }
}

}  // namespace

static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows();
    const Scoring scoring(call);
    InDouble all;
    for (std::int64_t r = 0; r < rows; ++r) {
        all.q.push_back(row_as_double(call.inputs[0], r)), all.k.push_back(row_as_double(call.inputs[1], r));
        all.v.push_back(row_as_double(call.inputs[2], r)), all.o.push_back(row_as_double(call.inputs[5], r));
        all.dq.emplace_back(all.q.back().size()), all.dk.emplace_back(all.k.back().size()), all.dv.emplace_back(all.v.back().size());
    }
    if (call.input(3)) all.sinks.resize(static_cast<std::size_t>(call.input(3)->shape.elements()));
    if (call.input(4)) all.bias.resize(static_cast<std::size_t>(call.input(4)->shape.elements()));
    std::vector<std::byte> scratch(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    for_each_sequence(call, rows, scratch.data(), [&](std::span<const std::int32_t> sequence) {
        for (std::size_t i = 0; i < sequence.size(); ++i)
            for (std::int64_t h = 0; h < call.attributes.integer("heads"); ++h) reference_head(call, scoring, sequence, i, h, all);
    });
    float* out = call.output.row_f32(0);
    for (const auto* part : {&all.dq, &all.dk, &all.dv})
        for (const std::vector<double>& row : *part) out = std::copy(row.begin(), row.end(), out);
    for (const auto* part : {&all.sinks, &all.bias}) out = std::copy(part->begin(), part->end(), out);
}

// Five products of the size of the scores, over half the keys.
static Cost cost(const NodeView& node) {
    const auto rows = static_cast<double>(node.inputs[0].shape.rows()), width = static_cast<double>(node.inputs[0].shape.width());
    return streaming_cost(node, 10 * width * rows * (rows + 1) / 2);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Sizes = std::array<std::int64_t, 4>;  // heads, kv heads, width of a key, width of a value
    const auto add = [&](Sizes sizes, std::int64_t rows) -> Case& {
        const auto& [heads, kv_heads, dim, value_dim] = sizes;
        list.push_back({.inputs = {f32({rows, heads * dim}), f32({rows, kv_heads * dim}), f32({rows, kv_heads * value_dim}), {}, {}, f32({rows, heads * value_dim})},
                        .attributes = {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", 1 / std::sqrt(static_cast<double>(dim))}}});
        return list.back();
    };
    for (const Sizes sizes : {Sizes{1, 1, 5, 5}, {6, 2, 40, 24}, {4, 1, 64, 64}, {1, 1, 576, 512}})
        for (const std::int64_t rows : {1, 3, 35, 100}) add(sizes, rows);
    for (const std::int64_t rows : {1, 80})
        for (int kind = 0; kind < 7; ++kind) {
            Case& c = add({6, 2, 32, 32}, rows);
            if (kind == 0 || kind == 5) c.attributes.set("window", std::int64_t{37});
            if (kind == 1) c.attributes.set("chunk", std::int64_t{50});
            if (kind == 2 || kind == 5) c.attributes.set("softcap", 1.5);
            if (kind == 3) c.attributes.set("alibi", 8.0);
            if (kind == 4 || kind == 5) c.inputs[3] = f32({6});
            if (kind == 6) c.attributes.set("causal", std::int64_t{0}), c.inputs[4] = f32({6, 2 * 20 + 1});
        }
    return list;
}

static std::string declines_pairs(const NodeView&) { return cpu::has_avx512_bf16() ? "" : "needs products of bf16 pairs (AVX512_BF16)"; }

static const Kernel kernels[] = {
    {.name = "pair_blocks", .doc = "32 queries of a head against all their keys, products of bf16 pairs in register tiles", .run = pair_gradient_kernel, .unit = Unit::vector_bf16, .error = attention_pair_error, .declines = &declines_pairs},
    {.name = "blocks", .doc = "32 queries of a head against all their keys, products in register tiles", .run = gradient_kernel},
};

}  // namespace tailor::ops::attention_gradient_kernels

namespace tailor::ops::entries {
extern const Op attention_gradient = {
    .name = "attention_gradient",
    .doc = "q [rows, heads * d], k [rows, kv_heads * d], v [rows, kv_heads * e], optional sinks [heads] and bias [heads, 2 d + 1], gradient [rows, heads * e], attributes of "
           "attention -> the gradients of q, k, v, sinks and bias, one behind the other; rows are whole sequences",
    .least_inputs = 6,
    .most_inputs = 6,
    .shape = &attention_gradient_kernels::shape,
    .reference = &attention_gradient_kernels::reference,
    .kernels = attention_gradient_kernels::kernels,
    .cost = &attention_gradient_kernels::cost,
    .scratch_bytes = &attention_gradient_kernels::scratch_bytes,
    .cases = &attention_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of attention are not built",
};
}  // namespace tailor::ops::entries
