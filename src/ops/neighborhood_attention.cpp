// Neighbourhood attention: every token of a line or a picture attends to the tokens around it.
//
// Per axis of `size` tokens, for a token at i with window w, dilation e and stride s: of the tokens i mod e, i mod e + e, ... (L of them,
// the token itself being number j = i / e) the window is
//     [start, start + w),   start = min(max(leader - w / 2, 0), L - w),   leader = min((j / s) s + s / 2, L - 1)
// so that a window at a border is moved inside rather than cut, and s neighbours share the window of the middle one: a stride of 1 is
// neighbourhood attention, a stride of w is attention in blocks. With `causal` (lines only) leader = min((j / s) s + s - 1, L - 1), and
// the window is (leader - w, j], at least j itself: a sliding window for a stride of 1, as the operator attention has it with a cache.
// Hassani et al., "Neighborhood Attention Transformer", 2023, equations 2 to 5; dilation: Hassani and Shi, "Dilated Neighborhood Attention
// Transformer", 2022; strides: Hassani et al., "Generalized Neighborhood Attention", 2025, section 3.1. The rows are whole pictures, one
// after the other, each line by line.
//
// A unit of work is a few tokens; the rows of a token's keys are listed once for all heads. The dot products of `lanes` keys are folded by
// one transpose, and a window's scores lie on the stack, so that the softmax is taken as it is defined.
#include <array>
#include <cmath>
#include <utility>

#include "cpu/simd.h"
#include "ops/neighborhood.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/neighborhood_attention.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::neighborhood_attention_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"

// Most keys of a window: 32 KB of the stack for their rows and scores.
constexpr std::int64_t most_keys = 4096;
// Tokens of one unit of work; a window of 49 keys and 8 heads of 64 take about 20 microseconds per token.
constexpr std::int64_t tokens_together = 8;
constexpr int value_vectors = 4;

struct Heads {
    std::int64_t count, dim, share;
    float scale;
};

/// Where a token's keys are.
struct Keys {
    std::int64_t count = 0;
    std::int32_t rows[most_keys + lanes];  ///< filled up with the last one to a whole vector
    alignas(64) float scores[most_keys + lanes];
};

static void list_keys(Window vertical, Window horizontal, std::int64_t first_row, std::int64_t width, Keys& keys) noexcept {
    keys.count = 0;
    for (std::int64_t y = 0; y < vertical.count; ++y)
        for (std::int64_t x = 0; x < horizontal.count; ++x)
            keys.rows[keys.count++] = static_cast<std::int32_t>(first_row + (vertical.first + y * vertical.step) * width + horizontal.first + x * horizontal.step);
    std::fill_n(keys.rows + keys.count, lanes, keys.rows[keys.count - 1]);
}

/// Scores of `lanes` keys.
static Vector score(const float* q, const core::Tensor& k, const std::int32_t* rows, std::int64_t column, const Heads& h) noexcept {
    Vector sums[lanes];
    float rest[lanes] = {};
    const std::int64_t whole = h.dim / lanes * lanes;
    for (int i = 0; i < lanes; ++i) {
        const float* const key = k.row_f32(rows[i]) + column;
        sums[i] = Vector{};
        for (std::int64_t d = 0; d < whole; d += lanes) sums[i] = fused(load(q + d), load(key + d), sums[i]);
        for (std::int64_t d = whole; d < h.dim; ++d) rest[i] += q[d] * key[d];
    }
    transpose(sums);
    Vector total = load(rest);
    for (int i = 0; i < lanes; ++i) total += sums[i];
    return total * h.scale;
}

/// Turns scores into weights with a sum of 1.
static void normalize(Keys& keys) noexcept {
    float highest = keys.scores[0], total = 0;
    for (std::int64_t i = 1; i < keys.count; ++i) highest = std::max(highest, keys.scores[i]);
    for (std::int64_t i = 0; i < keys.count; i += lanes) store(keys.scores + i, exponential(load(keys.scores + i) - highest));
    for (std::int64_t i = 0; i < keys.count; ++i) total += keys.scores[i];
    for (std::int64_t i = 0; i < keys.count; ++i) keys.scores[i] /= total;
}

template <int V>
static void mix_columns(const Keys& keys, const core::Tensor& v, std::int64_t column, float* y) noexcept {
    Vector sums[V] = {};
    for (std::int64_t i = 0; i < keys.count; ++i) {
        const float* const value = v.row_f32(keys.rows[i]) + column;
        for (int j = 0; j < V; ++j) sums[j] = fused(load(value + j * lanes), broadcast(keys.scores[i]), sums[j]);
    }
    for (int j = 0; j < V; ++j) store(y + j * lanes, sums[j]);
}

static void mix(const Keys& keys, const core::Tensor& v, std::int64_t column, std::int64_t count, float* y) noexcept {
    std::int64_t c = 0;
    for (; c + value_vectors * lanes <= count; c += value_vectors * lanes) mix_columns<value_vectors>(keys, v, column + c, y + c);
    for (; c + lanes <= count; c += lanes) mix_columns<1>(keys, v, column + c, y + c);
    for (; c < count; ++c) {
        float total = 0;
        for (std::int64_t i = 0; i < keys.count; ++i) total += keys.scores[i] * v.row_f32(keys.rows[i])[column + c];
        y[c] = total;
    }
}

static void attend(const Call& call, const Heads& h, std::int64_t row, Keys& keys) noexcept {
    const core::Tensor &q = call.inputs[0], &k = call.inputs[1], &v = call.inputs[2];
    const std::int64_t values = call.output.shape.width() / h.count;
    for (std::int64_t head = 0; head < h.count; ++head) {
        const std::int64_t group = head / h.share;
        for (std::int64_t i = 0; i < keys.count; i += lanes) store(keys.scores + i, score(q.row_f32(row) + head * h.dim, k, keys.rows + i, group * h.dim, h));
        normalize(keys);
        mix(keys, v, group * values, values, call.output.row_f32(row) + head * values);
    }
}

static void run(const Call& call) noexcept {
    const Neighborhood n(call.attributes);
    const std::int64_t heads = call.attributes.integer("heads"), dim = call.inputs[0].shape.width() / heads, rows = call.output.shape.rows();
    const Heads h{heads, dim, heads / (call.inputs[1].shape.width() / dim), static_cast<float>(call.attributes.real("scale", 1 / std::sqrt(static_cast<double>(dim))))};
    call.pool->run((rows + tokens_together - 1) / tokens_together, [&](std::int64_t unit, int) {
        Keys keys;
        for (std::int64_t row = unit * tokens_together; row < std::min(rows, (unit + 1) * tokens_together); ++row) {
            const std::int64_t token = row % n.tokens();
            list_keys(n.vertical.of(token / n.horizontal.size), n.horizontal.of(token % n.horizontal.size), row - token, n.horizontal.size, keys);
            attend(call, h, row, keys);
        }
    });
}

}  // namespace tailor::ops::neighborhood_attention_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::neighborhood_attention_kernels {

static void check_axis(const WindowAxis& axis, std::string_view name, const NodeView& node) {
    require(axis.size > 0 && axis.window > 0 && axis.dilation > 0 && axis.stride > 0, core::format("neighborhood_attention: the {} needs positive numbers", name), node);
    require(axis.size >= axis.least_size(), core::format("neighborhood_attention: a window of {} tokens, {} apart, in a {} of {}", axis.window, axis.dilation, name, axis.size),
            node);
    require(axis.stride <= axis.window, core::format("neighborhood_attention: a stride of {} leaves tokens outside their window of {}", axis.stride, axis.window), node);
}

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 3; ++i) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), width = node.inputs[0].shape.width(), rows = node.inputs[0].shape.rows();
    const core::Shape &k = node.inputs[1].shape, &v = node.inputs[2].shape;
    require(heads > 0 && width % heads == 0, core::format("neighborhood_attention: {} columns of q for {} heads", width, heads), node);
    const std::int64_t dim = width / heads, kv_heads = k.width() / dim;
    require(k.rows() == rows && v.rows() == rows && k.width() % dim == 0 && kv_heads > 0 && heads % kv_heads == 0 && v.width() % kv_heads == 0,
            "neighborhood_attention: k must be [rows, kv_heads * d] and v [rows, kv_heads * e] with kv_heads that divide the heads", node);
    const Neighborhood n(node.attributes);
    check_axis(n.vertical, "height", node), check_axis(n.horizontal, "width", node);
    require(!n.horizontal.causal || n.vertical.size == 1, "neighborhood_attention: only lines can be causal", node);
    require(rows % n.tokens() == 0, core::format("neighborhood_attention: {} rows are no whole pictures of {} tokens", rows, n.tokens()), node);
    require(n.vertical.window * n.horizontal.window <= base::most_keys, core::format("neighborhood_attention: windows of at most {} keys", base::most_keys), node);
    return f32({rows, v.width() / kv_heads * heads});
}

/// Whether `key` is in the window of `token` along an axis, by the equations.
static bool sees(const WindowAxis& a, std::int64_t token, std::int64_t key) {
    if (key % a.dilation != token % a.dilation) return false;
    const std::int64_t own = token / a.dilation, other = key / a.dilation;
    std::int64_t last = own;
    while ((last + 1) * a.dilation + token % a.dilation < a.size) ++last;
    if (a.causal) return other == own || (other < own && other > std::min(own / a.stride * a.stride + a.stride - 1, last) - a.window);
    std::int64_t start = std::min(own / a.stride * a.stride + a.stride / 2, last) - a.window / 2;
    while (start < 0) ++start;
    while (start + a.window > last + 1) --start;
    return other >= start && other < start + a.window;
}

static void reference(const Call& call) {
    const Neighborhood n(call.attributes);
    const std::int64_t heads = call.attributes.integer("heads"), dim = call.inputs[0].shape.width() / heads, share = heads / (call.inputs[1].shape.width() / dim);
    const std::int64_t values = call.output.shape.width() / heads, across = n.horizontal.size;
    const double scale = call.attributes.real("scale", 1 / std::sqrt(static_cast<double>(dim)));
    for (std::int64_t row = 0; row < call.output.shape.rows(); ++row) {
        const std::int64_t token = row % n.tokens();
        std::vector<double> y(static_cast<std::size_t>(heads * values));
        for (std::int64_t head = 0; head < heads; ++head) {
            const std::int64_t group = head / share;
            double total = 0;
            for (std::int64_t key = 0; key < n.tokens(); ++key) {
                if (!sees(n.vertical, token / across, key / across) || !sees(n.horizontal, token % across, key % across)) continue;
                const std::int64_t from = row - token + key;
                double score = 0;
                for (std::int64_t d = 0; d < dim; ++d)
                    score += static_cast<double>(call.inputs[0].row_f32(row)[head * dim + d]) * static_cast<double>(call.inputs[1].row_f32(from)[group * dim + d]);
                const double weight = std::exp(score * scale);
                total += weight;
                for (std::int64_t d = 0; d < values; ++d) y[static_cast<std::size_t>(head * values + d)] += weight * static_cast<double>(call.inputs[2].row_f32(from)[group * values + d]);
            }
            for (std::int64_t d = 0; d < values; ++d) y[static_cast<std::size_t>(head * values + d)] /= total;
        }
        store_row(call.output, row, y);
    }
}

static Cost cost(const NodeView& node) {
    const Neighborhood n(node.attributes);
    const auto products = static_cast<double>(n.vertical.window * n.horizontal.window * (node.inputs[0].shape.elements() + node.output.shape.elements()));
    return streaming_cost(node, 2 * products);
}

static Case example(std::int64_t pictures, std::array<std::int64_t, 4> vertical, std::array<std::int64_t, 4> horizontal, std::int64_t heads, std::int64_t kv_heads, std::int64_t dim,
                    std::int64_t values, std::int64_t causal = 0) {
    const std::int64_t rows = pictures * vertical[0] * horizontal[0];
    return {.inputs = {f32({rows, heads * dim}), f32({rows, kv_heads * dim}), f32({rows, kv_heads * values})},
            .attributes = {{"heads", heads}, {"height", vertical[0]}, {"window_height", vertical[1]}, {"dilation_height", vertical[2]}, {"stride_height", vertical[3]},
                           {"width", horizontal[0]}, {"window_width", horizontal[1]}, {"dilation_width", horizontal[2]}, {"stride_width", horizontal[3]}, {"causal", causal}}};
}

// Size, window, dilation and stride of each axis.
static std::vector<Case> cases() {
    return {example(1, {1, 1, 1, 1}, {1, 1, 1, 1}, 1, 1, 1, 1),      example(2, {1, 1, 1, 1}, {13, 5, 1, 1}, 2, 1, 7, 5),
            example(1, {1, 1, 1, 1}, {29, 4, 3, 2}, 2, 2, 16, 16),   example(1, {1, 1, 1, 1}, {40, 7, 1, 1}, 4, 2, 64, 80, 1),
            example(1, {1, 1, 1, 1}, {41, 6, 2, 3}, 1, 1, 8, 8, 1),  example(2, {7, 3, 1, 1}, {9, 5, 1, 1}, 2, 1, 20, 70),
            example(1, {8, 3, 2, 2}, {11, 4, 2, 4}, 2, 2, 33, 16),   example(1, {9, 3, 1, 3}, {12, 4, 1, 4}, 1, 1, 128, 64)};
}

static const Kernel kernels[] = {{.name = "windows", .doc = "token by token, a vector of keys at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::neighborhood_attention_kernels

namespace tailor::ops::entries {
extern const Op neighborhood_attention = {
    .name = "neighborhood_attention",
    .doc = "q [rows, heads * d], k [rows, kv_heads * d], v [rows, kv_heads * e] -> [rows, heads * e]: softmax attention to the tokens of a window on a line or picture "
           "(width, height, window_*, dilation_*, stride_*, causal)",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &neighborhood_attention_kernels::shape,
    .reference = &neighborhood_attention_kernels::reference,
    .kernels = neighborhood_attention_kernels::kernels,
    .cost = &neighborhood_attention_kernels::cost,
    .cases = &neighborhood_attention_kernels::cases,
    .not_differentiable = "its gradient runs the windows the other way, from keys to the tokens that see them, which is not built",
};
}  // namespace tailor::ops::entries
#endif
