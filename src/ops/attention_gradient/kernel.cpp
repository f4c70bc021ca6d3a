// The blocked kernel of attention_gradient; see attention_gradient.cpp for the formulas.
//
// A unit of work is one kv head of one sequence: all its keys and values are laid out once, in rows and transposed, and every
// query head that reads them adds to its gradients of keys and values, which therefore belong to one thread. For a block of 32 queries
// the scores, their exponentials and their gradients are [32][keys] in scratch, made and used by products in register
// tiles (ops/small_product.h); keys that no query of the block sees are left out. Sequences are taken together while their rows fit the scratch.
// Vectors run over keys or over the width of a head, both rounded up to 16 with zeros. With products of bf16 pairs the same buffers hold words of
// two numbers, of which they need half: what is rounded are q, k, v, the gradient, probabilities and their gradients; scores, exponentials and all
// sums stay f32.
#include "ops/attention_gradient/kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/simd.h"
#include "ops/attention/kernels.h"
#include "ops/sequences.h"

#define TAILOR_THIS_FILE "ops/attention_gradient/kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::attention_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;
using attention_kernels::Keys;
using attention_kernels::Mask;
using attention_kernels::Scoring;

#include "ops/attention/vectors.h"
#include "ops/pairs.h"
#include "ops/small_product.h"

constexpr std::int64_t padding = 16, block = 32;
// Rows that scratch holds beyond those of the batch, for the rounding of several short sequences.
constexpr std::int64_t spare_rows = 256;
constexpr std::int64_t round_up(std::int64_t count) { return (count + padding - 1) / padding * padding; }

/// The sizes of a call and where its results and buffers stand.
struct Sizes {
    std::int64_t rows, heads, kv_heads, dim, value_dim, padded_dim, padded_value;

    Sizes(std::int64_t row_count, std::int64_t head_count, std::int64_t kv_head_count, std::int64_t key_width, std::int64_t value_width)
        : rows(row_count), heads(head_count), kv_heads(kv_head_count), dim(key_width), value_dim(value_width), padded_dim(round_up(key_width)), padded_value(round_up(value_width)) {}
    explicit Sizes(const Call& call)
        : Sizes(call.inputs[0].shape.rows(), call.attributes.integer("heads"), call.attributes.integer("kv_heads"), call.inputs[0].shape.width() / call.attributes.integer("heads"),
                call.inputs[2].shape.width() / call.attributes.integer("kv_heads")) {}

    std::int64_t capacity() const { return round_up(rows) + spare_rows; }
    /// Numbers per row of a unit: keys twice, values once, both gradients, and three blocks of scores; with pairs some of it stays empty.
    std::int64_t numbers_per_row() const { return 3 * padded_dim + 2 * padded_value + 3 * block; }
};

/// The buffers of one unit.
struct Unit {
    std::span<const std::int32_t> rows;
    std::int64_t kv_head, keys;  ///< keys: rounded up
    float *key_columns, *key_rows, *value_columns, *key_gradients, *value_gradients, *scores, *back, *slopes;

    Unit(const Sizes& sizes, std::span<const std::int32_t> sequence, std::int64_t head, float* buffer) : rows(sequence), kv_head(head), keys(round_up(static_cast<std::int64_t>(sequence.size()))) {
        key_columns = buffer;
        key_rows = key_columns + keys * sizes.padded_dim;
        value_columns = key_rows + keys * sizes.padded_dim;
        key_gradients = value_columns + keys * sizes.padded_value;
        value_gradients = key_gradients + keys * sizes.padded_dim;
        scores = value_gradients + keys * sizes.padded_value;
        back = scores + keys * block;
        slopes = back + keys * block;
    }
};

/// Neighbouring pairs of numbers of a row of `width`, a multiple of 16, as words.
static void join_row(const float* row, std::int64_t width, float* words) noexcept {
    for (std::int64_t i = 0; i < width; i += 2 * lanes) {
        const Vector joined = join_neighbours(load(row + i), i + lanes < width ? load(row + i + lanes) : Vector{});
        if (i + lanes < width) store(words + i / 2, joined);
        else std::memcpy(words + i / 2, &joined, sizeof joined / 2);
    }
}

/// The numbers of two rows of `width`, a multiple of 16, one above the other as words; a null `odd` is a row of zeros.
static void join_rows(const float* even, const float* odd, std::int64_t width, float* words) noexcept {
    for (std::int64_t i = 0; i < width; i += lanes) store(words + i, join_pairs(load(even + i), odd ? load(odd + i) : Vector{}));
}

/// Keys (or values) of the unit in columns, [number or pair of a head][key]; those of a row and the next also as `rows`, unless null.
template <bool pairs>
static void lay_out(const core::Tensor& tensor, const Unit& unit, std::int64_t dim, std::int64_t padded, float* columns, float* rows) noexcept {
    alignas(64) float two[2][round_up(attention_kernels::most_head_dim)] = {}, words[round_up(attention_kernels::most_head_dim)];
    const auto count = static_cast<std::int64_t>(unit.rows.size());
    for (std::int64_t j = 0; j < count; ++j) {
        const float* const x = tensor.row_f32(unit.rows[static_cast<std::size_t>(j)]) + unit.kv_head * dim;
        float* const copy = two[j % 2];
        std::copy_n(x, dim, copy);
        if constexpr (pairs) join_row(copy, padded, words);
        const float* const numbers = pairs ? words : copy;
        for (std::int64_t i = 0; i < (pairs ? (dim + 1) / 2 : dim); ++i) columns[i * unit.keys + j] = numbers[i];
        if (!rows) continue;
        if constexpr (!pairs) std::copy_n(copy, padded, rows + j * padded);
        else if (j % 2 == 1 || j + 1 == count) join_rows(two[0], j % 2 == 1 ? two[1] : nullptr, padded, rows + j / 2 * padded);
    }
}

template <bool pairs>
static void lay_out(const Call& call, const Sizes& sizes, const Unit& unit) noexcept {
    std::memset(unit.key_columns, 0, static_cast<std::size_t>(unit.keys * (3 * sizes.padded_dim + 2 * sizes.padded_value)) * sizeof(float));
    lay_out<pairs>(call.inputs[1], unit, sizes.dim, sizes.padded_dim, unit.key_columns, unit.key_rows);
    lay_out<pairs>(call.inputs[2], unit, sizes.value_dim, sizes.padded_value, unit.value_columns, nullptr);
}

/// What a block of queries looks at: their rows in the sequence and the range of keys that any of them sees, whole vectors.
struct Block {
    std::int64_t head, first, count, begin, end;
};

/// Turns products of query and key into scores, in place; with a softcap, its slopes go to `slopes`.
static void adjust(const Scoring& scoring, const Block& b, std::int64_t row, float scale, float* scores, float* slopes) noexcept {
    for (std::int64_t j = b.begin; j < b.end; j += lanes) store(scores + j, load(scores + j) * scale);
    if (!scoring.changes_scores()) return;
    const float slope = scoring.slope(b.head);
    for (std::int64_t j = b.begin; j < b.end; ++j) {
        if (scoring.softcap > 0) {
            const float share = std::tanh(scores[j] / scoring.softcap);
            scores[j] = scoring.softcap * share, slopes[j] = 1 - share * share;
        }
        if (scoring.alibi > 0) scores[j] += slope * static_cast<float>(j - row);
        if (scoring.bias) scores[j] += scoring.bias_at(b.head, j - row);
    }
}

/// Scores to probabilities, zeros where the row does not look; returns the share of the sink.
static float normalize(const Scoring& scoring, const Block& b, Keys keys, float* scores) noexcept {
    std::fill(scores + b.begin, scores + keys.begin, -INFINITY);
    std::fill(scores + keys.end, scores + b.end, -INFINITY);
    Vector top = load(scores + b.begin), sums = {};
    for (std::int64_t j = b.begin; j < b.end; j += lanes) top = maximum(top, load(scores + j));
    float most = largest(top);
    if (scoring.sinks) most = std::max(most, scoring.sinks[b.head]);
    for (std::int64_t j = b.begin; j < b.end; j += lanes) {
        const Vector p = exponential(load(scores + j) - most);
        store(scores + j, p);
        sums += p;
    }
    const float sink = scoring.sinks ? std::exp(scoring.sinks[b.head] - most) : 0.0f, share = 1.0f / (sum(sums) + sink);
    for (std::int64_t j = b.begin; j < b.end; j += lanes) store(scores + j, load(scores + j) * share);
    return sink * share;
}

/// Gradients of probabilities to gradients of products, in place; returns the mean of the gradients of probabilities.
static float hand_back(const Scoring& scoring, const Block& b, std::int64_t row, float scale, const float* p, const float* slopes, float* back, float* bias_gradient) noexcept {
    Vector sums = {};
    for (std::int64_t j = b.begin; j < b.end; j += lanes) sums = fused(load(p + j), load(back + j), sums);
    const float mean = sum(sums);
    const bool scored = bias_gradient != nullptr || scoring.softcap > 0;
    for (std::int64_t j = b.begin; j < b.end; j += lanes) store(back + j, load(p + j) * (load(back + j) - mean) * (scored ? 1.0f : scale));
    if (!scored) return mean;
    const std::int64_t d = scoring.most_distance;
    for (std::int64_t j = b.begin; j < b.end; ++j) {
        if (bias_gradient) bias_gradient[std::clamp(j - row, -d, d) + d] += back[j];
        back[j] *= scoring.softcap > 0 ? slopes[j] * scale : scale;
    }
    return mean;
}

/// Where the results of a call begin, in its output.
struct Results {
    float *q, *k, *v, *sinks, *bias;
    float* sink_shares;  ///< [rows][heads], in scratch: rows are summed in order afterwards

    Results(const Call& call, float* scratch)
        : q(call.output.row_f32(0)), k(q + call.inputs[0].shape.elements()), v(k + call.inputs[1].shape.elements()), sinks(v + call.inputs[2].shape.elements()),
          bias(sinks + (call.input(3) ? call.input(3)->shape.elements() : 0)), sink_shares(scratch) {}
};

/// The queries of a block and the gradients of their outputs, as a product takes them from the left; with pairs also as it does from the right.
struct Rows {
    static constexpr std::int64_t most = round_up(attention_kernels::most_head_dim);
    alignas(64) float q[block * most], o[block * most];
    alignas(64) float q_words[block * most / 2], o_words[block * most / 2];  // [query][pair of numbers]
};

/// Scores and gradients of probabilities of block `b`, before they are scaled.
template <bool pairs>
static void multiply_forth(const Sizes& sizes, const Unit& unit, const Block& b, Rows& rows) noexcept {
    const std::int64_t n = b.end - b.begin;
    float *const scores = unit.scores + b.begin, *const back = unit.back + b.begin;
    if constexpr (!pairs) {
        small_product<Singles, false>({rows.q, sizes.padded_dim, 1}, b.count, unit.key_columns + b.begin, unit.keys, sizes.dim, n, scores, unit.keys);
        small_product<Singles, false>({rows.o, sizes.padded_value, 1}, b.count, unit.value_columns + b.begin, unit.keys, sizes.value_dim, n, back, unit.keys);
        return;
    }
    for (std::int64_t i = 0; i < b.count; ++i) {
        join_row(rows.q + i * sizes.padded_dim, sizes.padded_dim, rows.q_words + i * sizes.padded_dim / 2);
        join_row(rows.o + i * sizes.padded_value, sizes.padded_value, rows.o_words + i * sizes.padded_value / 2);
    }
    small_product<Pairs, false>({rows.q_words, sizes.padded_dim / 2, 1}, b.count, unit.key_columns + b.begin, unit.keys, (sizes.dim + 1) / 2, n, scores, unit.keys);
    small_product<Pairs, false>({rows.o_words, sizes.padded_value / 2, 1}, b.count, unit.value_columns + b.begin, unit.keys, (sizes.value_dim + 1) / 2, n, back, unit.keys);
}

/// Adds to the gradients of keys and values; the gradients of queries take the place of the queries.
template <bool pairs>
static void multiply_back(const Sizes& sizes, const Unit& unit, const Block& b, Rows& rows) noexcept {
    const std::int64_t n = b.end - b.begin, keys = unit.keys;
    float *const scores = unit.scores + b.begin, *const back = unit.back + b.begin;
    float *const values_out = unit.value_gradients + b.begin * sizes.padded_value, *const keys_out = unit.key_gradients + b.begin * sizes.padded_dim;
    if constexpr (!pairs) {
        small_product<Singles, true>({scores, 1, keys}, n, rows.o, sizes.padded_value, b.count, sizes.padded_value, values_out, sizes.padded_value);
        small_product<Singles, true>({back, 1, keys}, n, rows.q, sizes.padded_dim, b.count, sizes.padded_dim, keys_out, sizes.padded_dim);
        small_product<Singles, false>({back, keys, 1}, b.count, unit.key_rows + b.begin * sizes.padded_dim, sizes.padded_dim, n, sizes.padded_dim, rows.q, sizes.padded_dim);
        return;
    }
    // Words of two queries take the place of the slopes, which are no longer read, then words of two keys that of the probabilities.
    const std::int64_t twos = (b.count + 1) / 2;
    float *const p_words = unit.slopes + b.begin, *const back_words = p_words + block / 2 * keys;
    for (std::int64_t i = 0; i < twos; ++i) {
        const bool both = 2 * i + 1 < b.count;
        join_rows(scores + 2 * i * keys, both ? scores + (2 * i + 1) * keys : nullptr, n, p_words + i * keys);
        join_rows(back + 2 * i * keys, both ? back + (2 * i + 1) * keys : nullptr, n, back_words + i * keys);
        join_rows(rows.o + 2 * i * sizes.padded_value, both ? rows.o + (2 * i + 1) * sizes.padded_value : nullptr, sizes.padded_value, rows.o_words + i * sizes.padded_value);
        join_rows(rows.q + 2 * i * sizes.padded_dim, both ? rows.q + (2 * i + 1) * sizes.padded_dim : nullptr, sizes.padded_dim, rows.q_words + i * sizes.padded_dim);
    }
    for (std::int64_t i = 0; i < b.count; ++i) join_row(back + i * keys, n, scores + i * keys);
    small_product<Pairs, true>({p_words, 1, keys}, n, rows.o_words, sizes.padded_value, twos, sizes.padded_value, values_out, sizes.padded_value);
    small_product<Pairs, true>({back_words, 1, keys}, n, rows.q_words, sizes.padded_dim, twos, sizes.padded_dim, keys_out, sizes.padded_dim);
    small_product<Pairs, false>({scores, keys, 1}, b.count, unit.key_rows + b.begin / 2 * sizes.padded_dim, sizes.padded_dim, n / 2, sizes.padded_dim, rows.q, sizes.padded_dim);
}

template <bool pairs>
static void run_block(const Call& call, const Sizes& sizes, const Scoring& scoring, const Mask& mask, const Unit& unit, Block b, const Results& results) noexcept {
    Rows rows_of_block;
    float *const q = rows_of_block.q, *const o = rows_of_block.o;
    Keys keys[block];
    const auto scale = static_cast<float>(call.attributes.real("scale"));
    b.begin = unit.keys, b.end = 0;
    for (std::int64_t i = 0; i < b.count; ++i) {
        const std::int32_t row = unit.rows[static_cast<std::size_t>(b.first + i)];
        keys[i] = mask.of(call.batch, row);
        b.begin = std::min(b.begin, keys[i].begin / padding * padding), b.end = std::max(b.end, round_up(keys[i].end));
        float *const q_row = q + i * sizes.padded_dim, *const o_row = o + i * sizes.padded_value;
        std::copy_n(call.inputs[0].row_f32(row) + b.head * sizes.dim, sizes.dim, q_row);
        std::fill(q_row + sizes.dim, q_row + sizes.padded_dim, 0.0f);
        std::copy_n(call.inputs[5].row_f32(row) + b.head * sizes.value_dim, sizes.value_dim, o_row);
        std::fill(o_row + sizes.value_dim, o_row + sizes.padded_value, 0.0f);
    }
    multiply_forth<pairs>(sizes, unit, b, rows_of_block);
    for (std::int64_t i = 0; i < b.count; ++i) {
        float *const p = unit.scores + i * unit.keys, *const dp = unit.back + i * unit.keys, *const slopes = unit.slopes + i * unit.keys;
        adjust(scoring, b, b.first + i, scale, p, slopes);
        const float sink = normalize(scoring, b, keys[i], p);
        const float mean = hand_back(scoring, b, b.first + i, scale, p, slopes, dp, scoring.bias ? results.bias + b.head * (2 * scoring.most_distance + 1) : nullptr);
        if (scoring.sinks) results.sink_shares[unit.rows[static_cast<std::size_t>(b.first + i)] * sizes.heads + b.head] = -sink * mean;
    }
    multiply_back<pairs>(sizes, unit, b, rows_of_block);
    for (std::int64_t i = 0; i < b.count; ++i)
        std::copy_n(q + i * sizes.padded_dim, sizes.dim, results.q + unit.rows[static_cast<std::size_t>(b.first + i)] * sizes.heads * sizes.dim + b.head * sizes.dim);
}

template <bool pairs>
static void run_unit(const Call& call, const Sizes& sizes, const Scoring& scoring, const Mask& mask, const Unit& unit, const Results& results) noexcept {
    lay_out<pairs>(call, sizes, unit);
    const auto rows = static_cast<std::int64_t>(unit.rows.size());
    const std::int64_t share = sizes.heads / sizes.kv_heads;
    for (std::int64_t h = unit.kv_head * share; h < (unit.kv_head + 1) * share; ++h)
        for (std::int64_t first = 0; first < rows; first += block) run_block<pairs>(call, sizes, scoring, mask, unit, {h, first, std::min(block, rows - first), 0, 0}, results);
    for (std::int64_t j = 0; j < rows; ++j) {
        const std::int64_t row = unit.rows[static_cast<std::size_t>(j)] * sizes.kv_heads + unit.kv_head;
        std::copy_n(unit.key_gradients + j * sizes.padded_dim, sizes.dim, results.k + row * sizes.dim);
        std::copy_n(unit.value_gradients + j * sizes.padded_value, sizes.value_dim, results.v + row * sizes.value_dim);
    }
}

/// Sequences [first, end) of those that `bounds` separates: all their units in parallel; with biases, whose gradients all sequences
/// share, only the heads.
template <bool pairs>
static void run_wave(const Call& call, const Sizes& sizes, std::span<const std::int32_t> sorted, const std::int32_t* bounds, std::int64_t first, std::int64_t end, const Results& results,
                     float* buffers) noexcept {
    const Scoring scoring(call);
    const Mask mask(call);
    const std::int64_t together = scoring.bias ? end - first : 1;
    std::int64_t longest = 0;
    for (std::int64_t s = first; s < end; ++s) longest = std::max(longest, round_up(bounds[s + 1] - bounds[s]));
    // A buffer per thread stays in its cache; where they do not fit the scratch, which knows no threads, every unit has its own.
    const bool reuse = call.pool->threads() * longest <= sizes.kv_heads * sizes.capacity();
    call.pool->run((end - first) / together * sizes.kv_heads, [&](std::int64_t u, int thread) {
        const std::int64_t kv_head = u % sizes.kv_heads, begin = first + u / sizes.kv_heads * together;
        std::int64_t offset = 0;
        for (std::int64_t s = first; s < begin + together; ++s) {
            const auto at = static_cast<std::size_t>(bounds[s]), count = static_cast<std::size_t>(bounds[s + 1]) - at;
            float* const buffer = buffers + (reuse ? thread * longest : kv_head * sizes.capacity() + offset) * sizes.numbers_per_row();
            if (s >= begin) run_unit<pairs>(call, sizes, scoring, mask, Unit(sizes, sorted.subspan(at, count), kv_head, buffer), results);
            offset += round_up(static_cast<std::int64_t>(count));
        }
    });
}

template <bool pairs>
[[maybe_unused]] static void run(const Call& call) noexcept {
    const Sizes sizes(call);
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, sizes.rows, call.scratch);
    auto* const bounds = reinterpret_cast<std::int32_t*>(call.scratch + sequence_rows_bytes(sizes.rows));
    std::int64_t sequences = 0;
    for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> rows) { bounds[sequences++] = static_cast<std::int32_t>(rows.data() - sorted.data()); });
    bounds[sequences] = static_cast<std::int32_t>(sizes.rows);
    auto* const shares = reinterpret_cast<float*>(call.scratch + sequence_rows_bytes(sizes.rows) + sequence_rows_bytes(sizes.rows + 1));
    const Results results(call, shares);
    float* const buffers = shares + round_up(sizes.rows * sizes.heads);
    if (call.input(4)) std::fill_n(results.bias, call.input(4)->shape.elements(), 0.0f);
    for (std::int64_t first = 0, end = 0; first < sequences; first = end) {
        std::int64_t held = 0;
        for (; end < sequences && held + round_up(bounds[end + 1] - bounds[end]) <= sizes.capacity(); ++end) held += round_up(bounds[end + 1] - bounds[end]);
        run_wave<pairs>(call, sizes, sorted, bounds, first, end, results, buffers);
    }
    if (!call.input(3)) return;
    std::fill_n(results.sinks, sizes.heads, 0.0f);
    for (std::int64_t r = 0; r < sizes.rows; ++r)
        for (std::int64_t h = 0; h < sizes.heads; ++h) results.sinks[h] += shares[r * sizes.heads + h];
}

}  // namespace tailor::ops::attention_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::attention_gradient_kernels {

static constexpr cpu::PerIsa<Run> run_at = TAILOR_EACH_ISA(run<false>);
const cpu::PerIsa<Run> gradient_kernel = run_at;
const cpu::PerIsa<Run> pair_gradient_kernel = {{nullptr,
#if defined(__x86_64__)
                                                nullptr, &avx512::run<true>
#endif
}};

std::int64_t gradient_scratch_bytes(std::int64_t rows, std::int64_t heads, std::int64_t kv_heads, std::int64_t dim, std::int64_t value_dim) {
    const base::Sizes sizes(rows, heads, kv_heads, dim, value_dim);
    const std::int64_t numbers = base::round_up(rows * heads) + kv_heads * sizes.capacity() * sizes.numbers_per_row();
    return sequence_rows_bytes(rows) + sequence_rows_bytes(rows + 1) + numbers * static_cast<std::int64_t>(sizeof(float)) + 64;
}

}  // namespace tailor::ops::attention_gradient_kernels
#endif
