// Causal grouped-query attention over a KV cache.
//
// For row r at position p of its sequence, head h with its kv head g = h / (heads / kv_heads):
//     y[h] = sum over j <= p of softmax_j(f(scale * q[h] . K[g][j])) V[g][j]
// Which keys a row sees (all before it, a window, a chunk, all) and what f does to scores (softcap, biases by distance), and
// scores without a value (sinks), are attributes and optional inputs: Mask and Scoring in kernels.h.
// New keys and values are first written to the cache (State "k" and "v", in the session's KV format and in tiles: cache.h), then
// read back, so a row sees the same rounded values whether it came in a prompt or alone.
// Vaswani et al., 2017, equation 1; grouped queries: Ainslie et al., 2023. The kernels stand in the other files of this
// folder: blocks of queries against tiles of keys for prompts, and parts of the context in parallel for single rows.
#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "ops/attention/cache.h"
#include "ops/attention/kernels.h"
#include "ops/gradients.h"
#include "ops/support.h"

namespace tailor::ops::attention_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 3; ++i) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), kv_heads = node.attributes.integer("kv_heads");
    const std::int64_t rows = node.inputs[0].shape.rows(), width = node.inputs[0].shape.width();
    require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, core::format("attention: {} heads over {} kv heads", heads, kv_heads), node);
    require(width % heads == 0, "attention: the width of q must be a multiple of the heads", node);
    require(node.inputs[1].shape == core::Shape({rows, width / heads * kv_heads}), "attention: k must be [rows, kv_heads * head_dim]", node);
    require(node.inputs[2].shape.rows() == rows && node.inputs[2].shape.width() % kv_heads == 0, "attention: v must be [rows, kv_heads * value_dim]", node);
    const std::int64_t value_dim = node.inputs[2].shape.width() / kv_heads;
    require(width / heads <= most_head_dim && value_dim <= most_head_dim, "attention: heads wider than 576 are not supported", node);
    if (node.input(3)) require_f32(node, 3), require(node.inputs[3].shape.elements() == heads, "attention: sinks must be [heads]", node);
    if (node.input(4)) {
        require_f32(node, 4);
        require(node.inputs[4].shape.rows() == heads && node.inputs[4].shape.width() % 2 == 1, "attention: bias must be [heads, 2 d + 1]", node);
    }
    return f32({rows, heads * value_dim});
}

static std::vector<StateType> states(const NodeView& node, const StateOptions& options) {
    const std::int64_t kv_heads = node.attributes.integer("kv_heads");
    const std::int64_t context = whole_tiles(options.context);
    return {{"k", {kv_heads, context, node.inputs[1].shape.width() / kv_heads}}, {"v", {kv_heads, context, node.inputs[2].shape.width() / kv_heads}}};
}

/// The score of head `h` of a row at `position` with the key at `j`.
static double adjusted(const Scoring& scoring, double score, std::int64_t h, std::int64_t position, std::int64_t j) {
    if (scoring.softcap > 0) score = scoring.softcap * std::tanh(score / scoring.softcap);
    if (scoring.alibi > 0) score += scoring.slope(h) * static_cast<double>(j - position);
    if (scoring.bias) score += scoring.bias_at(h, j - position);
    return score;
}

/// The decoded cache of one head of one sequence, [position][width].
struct Decoded {
    std::vector<std::vector<double>> keys, values;

    void extend(const Call& call, std::int64_t sequence, std::int64_t kv_head, std::int64_t positions) {
        for (auto p = static_cast<std::int64_t>(keys.size()); p < positions; ++p) {
            keys.push_back(read_position(call.states[0], Side::keys, sequence, kv_head, p));
            values.push_back(read_position(call.states[1], Side::values, sequence, kv_head, p));
        }
    }
};

/// Output of one head of row `r`, whose query is `q`.
static std::vector<double> attend(const Call& call, const Scoring& scoring, const Decoded& cache, std::int64_t r, std::int64_t h, std::span<const double> q) {
    const std::int64_t position = call.batch.positions[static_cast<std::size_t>(r)];
    const Keys keys = Mask(call).of(call.batch, r);
    std::vector<double> scores, sums(static_cast<std::size_t>(call.states[1].shape[3]));
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
        const std::vector<double>& k = cache.keys[static_cast<std::size_t>(j)];
        double score = 0;
        for (std::size_t i = 0; i < q.size(); ++i) score += q[i] * k[i];
        scores.push_back(adjusted(scoring, score * call.attributes.real("scale"), h, position, j));
    }
    if (scores.empty()) return sums;
    double maximum = *std::max_element(scores.begin(), scores.end());
    if (scoring.sinks) maximum = std::max(maximum, static_cast<double>(scoring.sinks[h]));
    double total = scoring.sinks ? std::exp(scoring.sinks[h] - maximum) : 0;
    for (double& s : scores) total += s = std::exp(s - maximum);
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
        const std::vector<double>& v = cache.values[static_cast<std::size_t>(j)];
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += scores[static_cast<std::size_t>(j - keys.begin)] / total * v[i];
    }
    return sums;
}

void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows(), heads = call.attributes.integer("heads"), kv_heads = call.attributes.integer("kv_heads");
    for (std::int64_t r = 0; r < rows && !call.attributes.integer("cross", 0); ++r)
        for (std::int64_t g = 0; g < kv_heads; ++g) append_head(call, r, g);
    const Scoring scoring(call);
    std::map<std::pair<std::int64_t, std::int64_t>, Decoded> caches;
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::vector<double> q = row_as_double(call.inputs[0], r);
        const std::size_t head_dim = q.size() / static_cast<std::size_t>(heads);
        const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)];
        std::vector<double> y;
        for (std::int64_t h = 0; h < heads; ++h) {
            const std::int64_t kv_head = h / (heads / kv_heads);
            Decoded& cache = caches[{sequence, kv_head}];
            cache.extend(call, sequence, kv_head, Mask(call).of(call.batch, r).end);
            const std::vector<double> sums = attend(call, scoring, cache, r, h, std::span(q).subspan(static_cast<std::size_t>(h) * head_dim, head_dim));
            y.insert(y.end(), sums.begin(), sums.end());
        }
        store_row(call.output, r, y);
    }
}

// Causal attention over the rows themselves; what lies in the cache before them is not known when a plan is made.
static Cost cost(const NodeView& node) {
    const auto rows = static_cast<double>(node.inputs[0].shape.rows()), width = static_cast<double>(node.inputs[0].shape.width());
    return streaming_cost(node, 4 * width * rows * (rows + 1) / 2);
}

// For caches of fewer bits than f32 the tolerance is wider than the usual one: their queries and keys are rounded to 16 bits,
// which moves a score of normal numbers by 5e-5 (root mean square), and an output by a part of that.
static Case one_case(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim, std::int64_t rows, std::int64_t past, std::string_view kv_format) {
    const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
    return {.inputs = {f32({rows, heads * head_dim}), f32({rows, kv_heads * head_dim}), f32({rows, kv_heads * head_dim})},
            .attributes = {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", scale}},
            .past = past,
            .context = past + rows + 3,
            .kv_format = kv_format,
            .tolerance = kv_format == "f32" ? 2e-5 : 1.5e-4};
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Heads = std::array<std::int64_t, 3>;  // query heads, kv heads, width of a head
    for (const auto& [heads, kv_heads, head_dim] : {Heads{1, 1, 5}, {6, 2, 40}, {8, 1, 64}, {3, 3, 80}, {10, 2, 128}, {2, 2, 256}})
        for (const std::int64_t rows : {1, 3, 9, 70})
            for (const std::int64_t past : {0, 45}) list.push_back(one_case(heads, kv_heads, head_dim, rows, past, "f32"));
    for (const std::string_view format : {"f16", "bf16", "q8_0", "q4_0", "q5_1"})
        for (const auto& [heads, kv_heads, head_dim] : {Heads{16, 2, 64}, {3, 3, 96}, {6, 1, 128}, {5, 1, 32}, {1, 1, 512}})
            for (const auto& [rows, past] : {std::pair<std::int64_t, std::int64_t>{1, 0}, {2, 63}, {33, 20}})
                list.push_back(one_case(heads, kv_heads, head_dim, rows, past, format));
    // More query heads to a kv head than one unit of work takes.
    for (const std::int64_t rows : {1, 5}) list.push_back(one_case(300, 1, 16, rows, 11, "f32"));
    // Masks and changes of scores, alone and together.
    for (const std::string_view format : {"f32", "q8_0"})
        for (const auto& [rows, past] : {std::pair<std::int64_t, std::int64_t>{1, 0}, {1, 150}, {80, 40}})
            for (int kind = 0; kind < 7; ++kind) {
                Case c = one_case(6, 2, 32, rows, past, format);
                if (kind == 0 || kind == 5) c.attributes.set("window", std::int64_t{37});
                if (kind == 1) c.attributes.set("chunk", std::int64_t{50});
                if (kind == 2 || kind == 5) c.attributes.set("softcap", 1.5);
                if (kind == 3) c.attributes.set("alibi", 8.0);
                if (kind == 4 || kind == 5) c.inputs.push_back(f32({6}));
                if (kind == 6 && past > 0) continue;
                if (kind == 6) c.attributes.set("causal", std::int64_t{0}), c.inputs.push_back({}), c.inputs.push_back(f32({6, 2 * 20 + 1}));
                list.push_back(c);
            }
    return list;
}

static std::string declines_many_rows(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows <= few_rows ? "" : core::format("made for up to {} rows, here are {}", few_rows, rows);
}

static std::vector<Value> gradient(const Differentiation& d) {
    return parts(d, d.graph.add("attention_gradient", {d.input(0), d.input(1), d.input(2), d.input(3), d.input(4), d.gradient}, d.attributes), {0, 1, 2, 3, 4});
}

static const Kernel kernels[] = {
    {.name = "split", .doc = "parts of the context in parallel for each row, merged in a fixed order", .version = 2, .run = split_kernel, .declines = &declines_many_rows},
    {.name = "tiled", .doc = "blocks of queries against tiles of keys, 16-bit integer products, running maximum", .version = 2, .run = tiled_kernel},
};

}  // namespace tailor::ops::attention_kernels

namespace tailor::ops::entries {
extern const Op attention = {
    .name = "attention",
    .doc = "q [rows, heads * d], k [rows, kv_heads * d], v [rows, kv_heads * e] -> [rows, heads * e]: softmax(scale q K^T) V over the cache; sinks [heads], bias [heads, 2 d + 1] optional",
    .least_inputs = 3,
    .most_inputs = 5,
    .shape = &attention_kernels::shape,
    .reference = &attention_kernels::reference,
    .kernels = attention_kernels::kernels,
    .cost = &attention_kernels::cost,
    .states = &attention_kernels::states,
    .cases = &attention_kernels::cases,
    .gradient = &attention_kernels::gradient,
};
}  // namespace tailor::ops::entries
