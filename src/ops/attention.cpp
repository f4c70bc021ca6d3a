// Causal grouped-query attention over a KV cache.
//
// For row r at position p of its sequence, head h with its kv head g = h / (heads / kv_heads):
//     y[h] = sum over j <= p of softmax_j(scale * q[h] . K[g][j]) V[g][j]
// New keys and values are first written to the cache (State "k" and "v", laid out [kv_head, context, head_dim], in the
// session's KV format), then read back, so a row sees the same rounded values whether it came in a prompt or alone.
// Vaswani et al., 2017, equation 1; grouped queries: Ainslie et al., 2023; the running maximum that makes one pass over
// the keys enough: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/attention.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::attention_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// Keys handled between two updates of the running maximum; their scores fit one cache line per vector.
constexpr std::int64_t tile_keys = 32;
constexpr std::int64_t most_head_dim = 512;

static float dot(const float* a, const float* b, std::int64_t count) noexcept {
    Vector total = {};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) total = fused(load(a + i), load(b + i), total);
    float result = sum(total);
    for (; i < count; ++i) result += a[i] * b[i];
    return result;
}

static void add_scaled(float* y, float factor, const float* x, std::int64_t count) noexcept {
    const Vector f = broadcast(factor);
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, fused(f, load(x + i), load(y + i)));
    for (; i < count; ++i) y[i] += factor * x[i];
}

static void scale_by(float* y, float factor, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) y[i] *= factor;
}

// Replaces scores by e^(score - maximum) and returns their sum.
static float exponentials(float* scores, float maximum, std::int64_t count) noexcept {
    for (std::int64_t i = count; i < (count + lanes - 1) / lanes * lanes; ++i) scores[i] = -INFINITY;
    Vector total = {};
    for (std::int64_t i = 0; i < count; i += lanes) {
        const Vector e = exponential(load(scores + i) - broadcast(maximum));
        store(scores + i, e);
        total += e;
    }
    return sum(total);
}

// `count` cache rows from `position` as f32: in place when the cache is f32, else decoded into `buffer`.
static const float* cache_rows(const core::Tensor& cache, const std::byte* head, std::int64_t position, std::int64_t count, std::int64_t head_dim,
                               cpu::Isa isa, float* buffer) noexcept {
    const std::byte* const rows = head + position * cache.format->row_bytes(head_dim);
    if (cache.format->bytes_per_block == 4 && cache.format->values_per_block == 1) return reinterpret_cast<const float*>(rows);
    cache.format->decode.at(isa)(rows, buffer, count * head_dim);
    return buffer;
}

static std::byte* cache_head(const core::Tensor& cache, std::int64_t sequence, std::int64_t head) noexcept {
    return cache.data + (sequence * cache.shape[1] + head) * cache.shape[2] * cache.format->row_bytes(cache.shape[3]);
}

static void attend(const Call& call, std::int64_t r, std::int64_t head, float scale) noexcept {
    const core::Tensor &k_cache = call.states[0], &v_cache = call.states[1];
    const std::int64_t head_dim = k_cache.shape[3], value_dim = v_cache.shape[3];
    const std::int64_t kv_head = head / (call.inputs[0].shape.width() / head_dim / k_cache.shape[1]);
    const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)], keys = call.batch.positions[static_cast<std::size_t>(r)] + 1;
    const std::byte* const k_head = cache_head(k_cache, sequence, kv_head);
    const std::byte* const v_head = cache_head(v_cache, sequence, kv_head);
    const float* const q = call.inputs[0].row_f32(r) + head * head_dim;
    alignas(64) float scores[tile_keys], accumulated[most_head_dim] = {}, buffer[tile_keys * most_head_dim];
    float maximum = -INFINITY, total = 0;
    for (std::int64_t j = 0; j < keys; j += tile_keys) {
        const std::int64_t count = std::min(tile_keys, keys - j);
        const float* const k = cache_rows(k_cache, k_head, j, count, head_dim, call.isa, buffer);
        float tile_maximum = -INFINITY;
        for (std::int64_t t = 0; t < count; ++t) {
            scores[t] = dot(q, k + t * head_dim, head_dim) * scale;
            tile_maximum = std::max(tile_maximum, scores[t]);
        }
        if (tile_maximum > maximum) {
            const float correction = std::exp(maximum - tile_maximum);
            total *= correction;
            scale_by(accumulated, correction, value_dim);
            maximum = tile_maximum;
        }
        total += exponentials(scores, maximum, count);
        const float* const v = cache_rows(v_cache, v_head, j, count, value_dim, call.isa, buffer);
        for (std::int64_t t = 0; t < count; ++t) add_scaled(accumulated, scores[t], v + t * value_dim, value_dim);
    }
    float* const y = call.output.row_f32(r) + head * value_dim;
    for (std::int64_t i = 0; i < value_dim; ++i) y[i] = accumulated[i] / total;
}

// Writes the new rows of k (or v) of all kv heads to their places.
static void append(const Call& call, const core::Tensor& rows, const core::Tensor& cache, std::int64_t r) noexcept {
    const std::int64_t heads = cache.shape[1], dim = cache.shape[3];
    const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)], position = call.batch.positions[static_cast<std::size_t>(r)];
    for (std::int64_t h = 0; h < heads; ++h)
        cache.format->encode(rows.row_f32(r) + h * dim, nullptr, cache_head(cache, sequence, h) + position * cache.format->row_bytes(dim), dim);
}

static void run(const Call& call) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows(), heads = call.attributes.integer("heads");
    const auto scale = static_cast<float>(call.attributes.real("scale"));
    for (std::int64_t r = 0; r < rows; ++r) {
        append(call, call.inputs[1], call.states[0], r);
        append(call, call.inputs[2], call.states[1], r);
    }
    call.pool->run(rows * heads, [&](std::int64_t c, int) {
        // Heads outermost: the rows of one head share its keys in cache.
        attend(call, c % rows, c / rows, scale);
    });
}

}  // namespace tailor::ops::attention_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
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
    require(width / heads <= base::most_head_dim && value_dim <= base::most_head_dim, "attention: heads wider than 512 are not supported", node);
    return f32({rows, heads * value_dim});
}

static std::vector<StateType> states(const NodeView& node, const StateOptions& options) {
    const std::int64_t kv_heads = node.attributes.integer("kv_heads");
    return {{"k", {kv_heads, options.context, node.inputs[1].shape.width() / kv_heads}},
            {"v", {kv_heads, options.context, node.inputs[2].shape.width() / kv_heads}}};
}

static std::vector<double> cache_row(const core::Tensor& cache, std::int64_t sequence, std::int64_t head, std::int64_t position) {
    return row_as_double(cache, (sequence * cache.shape[1] + head) * cache.shape[2] + position);
}

static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows(), heads = call.attributes.integer("heads"), kv_heads = call.attributes.integer("kv_heads");
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::size_t s = 0; s < 2; ++s) base::append(call, call.inputs[1 + s], call.states[s], r);
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::vector<double> q = row_as_double(call.inputs[0], r);
        const std::int64_t head_dim = static_cast<std::int64_t>(q.size()) / heads, keys = call.batch.positions[static_cast<std::size_t>(r)] + 1;
        const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)];
        std::vector<double> y;
        for (std::int64_t h = 0; h < heads; ++h) {
            const std::int64_t kv_head = h / (heads / kv_heads);
            std::vector<double> scores(static_cast<std::size_t>(keys)), sums(static_cast<std::size_t>(call.states[1].shape[3]));
            for (std::int64_t j = 0; j < keys; ++j) {
                const std::vector<double> k = cache_row(call.states[0], sequence, kv_head, j);
                for (std::int64_t i = 0; i < head_dim; ++i)
                    scores[static_cast<std::size_t>(j)] += q[static_cast<std::size_t>(h * head_dim + i)] * k[static_cast<std::size_t>(i)];
                scores[static_cast<std::size_t>(j)] *= call.attributes.real("scale");
            }
            const double maximum = *std::max_element(scores.begin(), scores.end());
            double total = 0;
            for (double& s : scores) total += s = std::exp(s - maximum);
            for (std::int64_t j = 0; j < keys; ++j) {
                const std::vector<double> v = cache_row(call.states[1], sequence, kv_head, j);
                for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += scores[static_cast<std::size_t>(j)] / total * v[i];
            }
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

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [heads, kv_heads, head_dim] : {std::array<std::int64_t, 3>{1, 1, 5}, {4, 2, 16}, {6, 2, 40}, {3, 3, 128}})
        for (const std::int64_t rows : {1, 9, 70})
            for (const std::int64_t past : {0, 45}) {
                const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
                list.push_back({.inputs = {f32({rows, heads * head_dim}), f32({rows, kv_heads * head_dim}), f32({rows, kv_heads * head_dim})},
                                .attributes = {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", scale}}, .past = past, .context = 128});
            }
    return list;
}

static const Kernel kernels[] = {
    {.name = "online", .doc = "one pass over the keys per head and row, with a running maximum", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::attention_kernels

namespace tailor::ops::entries {
extern const Op attention = {
    .name = "attention",
    .doc = "q [rows, heads * d], k [rows, kv_heads * d], v [rows, kv_heads * e] -> [rows, heads * e]: softmax(scale q K^T) V over the cache",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &attention_kernels::shape,
    .reference = &attention_kernels::reference,
    .kernels = attention_kernels::kernels,
    .cost = &attention_kernels::cost,
    .states = &attention_kernels::states,
    .cases = &attention_kernels::cases,
};
}  // namespace tailor::ops::entries
#endif
