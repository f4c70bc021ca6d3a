// Attention for prompts: blocks of queries against tiles of keys.
//
// A unit of work is one kv head and a block of rows with all the query heads that share this kv head; each (row, head) of
// it is a *lane*. Tile by tile of 64 keys: scores S = K Q^T with keys down and lanes across, the running maximum m of every
// lane, P = 2^(S - m), and O = O 2^(m_before - m) + V^T P. Scores are never written to memory as a whole: Dao,
// "FlashAttention-2", 2023; Milakov and Gimelshein, 2018.
//
// Why lanes lie across the vectors: keys and values are used as the cache holds them, one number broadcast at a time; the
// maximum and the sum of a lane need no horizontal step; and a group of queries is transposed once, not each tile of keys.
//
// For a cache of f32 S is computed in f32. For one that holds fewer bits it is computed with 16-bit integers: a
// multiply-add of integer pairs does twice the products of a fused f32 one from avx2 on, and rounds less than f16 did
// when the key was stored. Queries and keys get one scale each, so that no sum over 32 dimensions can overflow: where
// |q|, |k| <= 46,000 every partial sum is at most 46,000^2 < 2^31 in magnitude (Cauchy-Schwarz). For normal numbers
// rounding then moves a score by 5e-5 (root mean square), where f16 keys and queries would move it by 3e-4; with one sum
// over all dimensions, the scale smaller for it, by 1e-4 at 128 and 2e-4 at 512; larger scores move in proportion, which
// is why f32 caches keep f32. O = P V goes the same way, a tile at a time: values have one scale per dimension, the weights of a lane
// one, both bounded as above over the 64 keys. Weights are relative to the largest in the tile.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "cpu/simd.h"
#include "ops/attention/cache.h"
#include "ops/attention/kernels.h"

#define TAILOR_THIS_FILE "ops/attention/tiled_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::attention_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

namespace tiled {

#include "ops/attention/vectors.h"

#include "ops/attention/tiles.h"

#include "ops/decay_power.h"

// Register tile: tile_rows keys (or value dimensions) x `vectors` vectors of lanes. avx512 has 32 registers: 16 sums, 4
// operands; avx2 and base 16: 8 sums, 2 operands.
constexpr int vectors = lanes == 16 ? 4 : 2;
constexpr int tile_rows = 4;
constexpr std::int64_t group = vectors * lanes;
// Dimensions whose products are summed as integers before they become f32; a multiple of 2.
constexpr std::int64_t piece = 32;
constexpr float masked_score = -1e30f;
constexpr float log2_e = 1.44269504088896341f;

/// Lanes of a unit: few enough that queries and sums stay in the second-level cache, many enough that decoding a tile of
/// keys and values costs a few percent of using it.
constexpr std::int64_t lane_capacity(std::int64_t dim) { return dim <= 128 ? 256 : dim <= 256 ? 128 : 64; }
constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// What one unit of work needs, about 700 KB on the stack of its thread. Queries and keys are pairs of words or floats.
struct Scratch {
    alignas(64) float q[64 * most_head_dim];           // [group of lanes][pair of dimensions, or dimension][lane]
    alignas(64) float sums[64 * most_head_dim];          // [group of lanes][value dimension][lane]
    alignas(64) float keys[tile_keys * most_head_dim + 64];    // [pair of dimensions, or dimension][key]
    alignas(64) float values[tile_keys * most_head_dim + 64];  // [key][value dimension]
    alignas(64) float value_words[tile_keys / 2 * most_head_dim];  // [pair of keys][value dimension]
    alignas(64) float value_scale[most_head_dim];
    alignas(64) float scores[tile_keys * group];  // [key][lane]; weights as words: [pair of keys][lane]
    alignas(64) float q_scale[256], maximum[256], total[256], slope[256];
    alignas(64) std::int32_t positions[256], first_key[256], last_key[256];  // of the row of each lane; what it sees
    struct {
        std::int32_t least_first, most_first, least_last, most_last;
    } seen[256 / group];  // by the lanes of a group
    alignas(64) float key_scale[tile_keys];
    const float *tile_keys_at, *tile_values_at;  // in place or decoded
};

/// The rows and heads of one unit.
struct Unit {
    std::int64_t first_row, rows, first_head, heads, kv_head, sequence;
    const Scoring* scoring;
    std::int64_t lanes_used() const { return rows * heads; }
    std::int64_t row_of(std::int64_t lane) const { return first_row + lane / heads; }
    std::int64_t head_of(std::int64_t lane) const { return first_head + lane % heads; }
};

/// A tile of keys and values.
struct Tile {
    std::int64_t position, count;  ///< its first key; its keys
    std::int64_t head_dim, value_dim;
    bool exact;  ///< in f32
    /// Words of 32 bits of a query or key.
    std::int64_t depth() const { return exact ? head_dim : (head_dim + 1) / 2; }
};

// The most that a vector of words may measure, so that no sum of products of two such overflows.
constexpr float most_length = 46000, most_word = 32767;

/// x = scale * words with |words| <= 46,000 in every piece and each at most 32,767; an odd count is padded with a zero.
/// Returns the scale.
static float to_words(const float* x, std::int64_t count, std::int16_t* words) noexcept {
    float square = 0, most = 0;  // the largest of a piece; of all
    for (std::int64_t begin = 0; begin < count; begin += piece) {
        const std::int64_t end = std::min(count, begin + piece);
        Vector squares = {}, largest_lanes = {};
        std::int64_t i = begin;
        for (; i + lanes <= end; i += lanes) {
            const Vector v = load(x + i);
            squares = fused(v, v, squares);
            largest_lanes = maximum(maximum(largest_lanes, v), -v);
        }
        float piece_square = sum(squares), piece_most = largest(largest_lanes);
        for (; i < end; ++i) piece_square += x[i] * x[i], piece_most = std::max(piece_most, std::fabs(x[i]));
        if (!(piece_square <= square)) square = piece_square;
        most = std::max(most, piece_most);
    }
    if (count & 1) words[count] = 0;
    if (square == 0) {
        std::memset(words, 0, static_cast<std::size_t>(count) * 2);
        return 0;
    }
    const float factor = std::min(most_length / std::sqrt(square), most_word / most);
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store_words(words + i, nearest(load(x + i) * factor));
    for (; i < count; ++i) words[i] = static_cast<std::int16_t>(nearest(broadcast(x[i] * factor))[0]);
    return square / (square * factor);  // 1 / factor, or NaN where a number was not finite
}

/// One query in the form that scores are computed in; returns the factor of its scores.
static float prepare_query(const float* q, std::int64_t head_dim, bool exact, float* to) noexcept {
    if (!exact) return to_words(q, head_dim, reinterpret_cast<std::int16_t*>(to));
    std::memcpy(to, q, static_cast<std::size_t>(head_dim) * 4);
    return 1;
}

/// Queries of the unit, a group of lanes at a time transposed so that lanes lie across.
static void prepare_queries(const Call& call, const Unit& unit, const Tile& tile, Scratch& s) noexcept {
    const float scale = static_cast<float>(call.attributes.real("scale")) * log2_e;
    const std::int64_t depth = round_up(tile.depth(), lanes), used = unit.lanes_used();
    const Mask mask(call);
    const float* const sinks = unit.scoring->sinks;
    for (std::int64_t g = 0; g < used; g += group) {
        for (std::int64_t l = g; l < std::min(g + group, round_up(used, lanes)); ++l) {
            float* const query = s.keys + (l - g) * depth;
            if (l < used) {
                s.q_scale[l] = prepare_query(call.inputs[0].row_f32(unit.row_of(l)) + unit.head_of(l) * tile.head_dim, tile.head_dim, tile.exact, query) * scale;
                s.positions[l] = call.batch.positions[static_cast<std::size_t>(unit.row_of(l))];
                const Keys keys = l % unit.heads ? Keys{s.first_key[l - 1], s.last_key[l - 1] + 1} : mask.of(call.batch, unit.row_of(l));
                s.first_key[l] = static_cast<std::int32_t>(keys.begin), s.last_key[l] = static_cast<std::int32_t>(keys.end - 1);
                s.slope[l] = unit.scoring->slope(unit.head_of(l)) * log2_e;
            } else {  // lanes without a row repeat the last one
                std::memcpy(query, query - depth, static_cast<std::size_t>(depth) * 4);
                s.q_scale[l] = s.q_scale[l - 1], s.positions[l] = s.positions[l - 1], s.slope[l] = s.slope[l - 1];
                s.first_key[l] = s.first_key[l - 1], s.last_key[l] = s.last_key[l - 1];
            }
            s.maximum[l] = sinks ? sinks[unit.head_of(std::min(l, used - 1))] * log2_e : masked_score, s.total[l] = sinks ? 1 : 0;
        }
        const std::int64_t filled = round_up(std::min(group, used - g), lanes);
        transpose_into(s.keys, depth, s.q + g * depth, group, filled, depth);
        const auto [least_first, most_first] = std::minmax_element(s.first_key + g, s.first_key + g + filled);
        const auto [least_last, most_last] = std::minmax_element(s.last_key + g, s.last_key + g + filled);
        s.seen[g / group] = {*least_first, *most_first, *least_last, *most_last};
    }
    std::memset(s.sums, 0, static_cast<std::size_t>(round_up(used, group) * round_up(tile.value_dim, lanes)) * 4);
}

/// At most 1 / sqrt(x), and less than 0.2 % below it: an estimate by the bits of x, and a step of Newton's, which ends below.
[[gnu::always_inline]] inline Vector inverse_root(Vector x) {
    Integers bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits = 0x5F3759DF - (bits >> 1);
    Vector y;
    std::memcpy(&y, &bits, sizeof y);
    return y * fused(x * -0.5f, y * y, broadcast(1.5f));
}
/// What numbers with this sum of squares, `most` the largest, are multiplied by to become words.
[[gnu::always_inline]] inline Vector word_factor(Vector squares, Vector most) {
    const Vector by_length = inverse_root(squares) * most_length, by_word = most_word / most;
    return squares == Vector{} ? Vector{} : by_length < by_word ? by_length : by_word;
}
/// 1 / factor, or NaN where a number was not finite.
[[gnu::always_inline]] inline Vector word_scale(Vector squares, Vector factor) { return squares == Vector{} ? Vector{} : squares / (squares * factor); }

/// 2 x 16 bits, |low| and |high| at most 32,767.
[[gnu::always_inline]] inline Integers join_words(Integers low, Integers high) { return (low & 0xFFFF) | high << 16; }

/// to_words() for 64 keys at once, given and returned with keys across: pairs of words [pair][key].
static void keys_to_words(const float* keys, std::int64_t dim, float* words, float* scale) noexcept {
    for (std::int64_t j = 0; j < tile_keys; j += lanes) {
        Vector square = {}, most = {};
        for (std::int64_t begin = 0; begin < dim; begin += piece) {
            Vector squares = {};
            for (std::int64_t d = begin; d < std::min(dim, begin + piece); ++d) {
                const Vector v = load(keys + d * tile_keys + j);
                squares = fused(v, v, squares);
                most = maximum(maximum(most, v), -v);
            }
            square = squares <= square ? square : squares;
        }
        const Vector factor = word_factor(square, most);
        for (std::int64_t d = 0; d < dim; d += 2) {
            const Integers low = nearest(load(keys + d * tile_keys + j) * factor), high = d + 1 < dim ? nearest(load(keys + (d + 1) * tile_keys + j) * factor) : Integers{};
            const Integers pair = join_words(low, high);
            std::memcpy(words + d / 2 * tile_keys + j, &pair, sizeof pair);
        }
        store(scale + j, word_scale(square, factor));
    }
}

/// All 64 keys of the tile, those that nobody has written too: their scores are masked.
static void prepare_keys(const Call& call, const Unit& unit, const Tile& tile, Scratch& s) noexcept {
    const core::Tensor& cache = call.states[0];
    const float* const keys = tile_of_keys(cache, cache_tile(cache, unit.sequence, unit.kv_head, tile.position), call.isa, tile.exact ? s.keys : s.values, tile.exact ? s.values : s.keys);
    s.tile_keys_at = tile.exact ? keys : s.keys;
    if (!tile.exact) return keys_to_words(keys, tile.head_dim, s.keys, s.key_scale);
    for (float& scale : s.key_scale) scale = 1;
}

/// The first `count` values of a tile as pairs of words, one scale per dimension; what a missing key of the last pair has is zero.
static void values_to_words(const float* values, std::int64_t dim, std::int64_t count, float* words, float* scale) noexcept {
    const std::int64_t padded = round_up(dim, lanes);
    for (std::int64_t d = 0; d < padded; d += lanes, values += lanes) {
        Vector most = {}, squares = {};
        for (std::int64_t j = 0; j < count; ++j) {
            const Vector v = load(values + j * dim);
            most = maximum(maximum(most, v), -v), squares = fused(v, v, squares);
        }
        const Vector factor = word_factor(squares, most);
        for (std::int64_t j = 0; j < count; j += 2) {
            const Integers low = nearest(load(values + j * dim) * factor), high = j + 1 < count ? nearest(load(values + (j + 1) * dim) * factor) : Integers{};
            const Integers pair = join_words(low, high);
            std::memcpy(words + j / 2 * padded + d, &pair, sizeof pair);
        }
        store(scale + d, word_scale(squares, factor));
    }
}

static void prepare_values(const Call& call, const Unit& unit, const Tile& tile, Scratch& s) noexcept {
    const core::Tensor& cache = call.states[1];
    s.tile_values_at = tile_of_values(cache, cache_tile(cache, unit.sequence, unit.kv_head, tile.position), call.isa, s.values);
    if (!tile.exact) values_to_words(s.tile_values_at, tile.value_dim, tile.count, s.value_words, s.value_scale);
}

/// Unscaled scores of tile_rows keys from key `j` for V vectors of lanes, in f32.
template <int V>
static void multiply_floats(const float* q, const float* keys, std::int64_t depth, float* scores) noexcept {
    Vector products[tile_rows][V] = {};
    for (std::int64_t p = 0; p < depth; ++p) {
        Vector operand[V];
        for (int v = 0; v < V; ++v) operand[v] = load(q + p * group + v * lanes);
        for (int i = 0; i < tile_rows; ++i) {
            const Vector key = broadcast(keys[p * tile_keys + i]);
            for (int v = 0; v < V; ++v) products[i][v] = fused(operand[v], key, products[i][v]);
        }
    }
    for (int i = 0; i < tile_rows; ++i)
        for (int v = 0; v < V; ++v) store(scores + i * group + v * lanes, products[i][v]);
}

/// The same from pairs of words; the integer sums of each piece are added up in f32.
template <int V>
static void multiply_words(const float* q, const float* keys, std::int64_t depth, float* scores) noexcept {
    for (std::int64_t first = 0; first < depth; first += piece / 2) {
        Integers products[tile_rows][V] = {};
        for (std::int64_t p = first; p < std::min(depth, first + piece / 2); ++p) {
            Bytes operand[V];
            for (int v = 0; v < V; ++v) operand[v] = load_bytes(q + p * group + v * lanes);
            for (int i = 0; i < tile_rows; ++i) {
                const Integers key = broadcast_word(keys + p * tile_keys + i);
                for (int v = 0; v < V; ++v) products[i][v] = dot_words(products[i][v], operand[v], key);
            }
        }
        for (int i = 0; i < tile_rows; ++i)
            for (int v = 0; v < V; ++v) {
                float* const place = scores + i * group + v * lanes;
                store(place, first ? load(place) + to_floats(products[i][v]) : to_floats(products[i][v]));
            }
    }
}

/// Softcap and biases of the scores (times log2 e) of the lanes from lane `l` with the key at `key`.
static Vector adjusted(const Scratch& s, const Unit& unit, std::int64_t l, std::int64_t key, Vector value) noexcept {
    const Scoring& scoring = *unit.scoring;
    const float cap = scoring.softcap * log2_e;
    if (cap > 0) value = hyperbolic_tangent(value * (1 / cap)) * cap;
    value = fused(load(s.slope + l), to_floats(broadcast_integer(static_cast<std::int32_t>(key)) - load_integers(s.positions + l)), value);
    if (scoring.bias)
        for (int i = 0; i < lanes; ++i) value[i] += scoring.bias_at(unit.head_of(std::min(l + i, unit.lanes_used() - 1)), key - s.positions[l + i]) * log2_e;
    return value;
}

/// Scores of the tile's first `count` keys for V vectors of lanes from lane `g`, and their maximum. `mask`: some lane does not
/// see all of these keys.
template <int V>
static void score(Scratch& s, const Unit& unit, std::int64_t g, const Tile& tile, std::int64_t count, bool mask, Vector (&tile_maximum)[V]) noexcept {
    const bool adjusts = unit.scoring->changes_scores();
    const float* const q = s.q + g * round_up(tile.depth(), lanes);
    for (int v = 0; v < V; ++v) tile_maximum[v] = broadcast(masked_score);
    for (std::int64_t j = 0; j < count; j += tile_rows) {
        float* const row = s.scores + j * group;
        (tile.exact ? multiply_floats<V> : multiply_words<V>)(q, s.tile_keys_at + j, tile.depth(), row);
        for (int i = 0; i < tile_rows; ++i)
            for (int v = 0; v < V; ++v) {
                Vector value = load(row + i * group + v * lanes) * (load(s.q_scale + g + v * lanes) * s.key_scale[j + i]);
                if (adjusts) value = adjusted(s, unit, g + v * lanes, tile.position + j + i, value);
                const Integers key = broadcast_integer(static_cast<std::int32_t>(tile.position + j + i));
                if (mask) {
                    value = key > load_integers(s.last_key + g + v * lanes) ? broadcast(masked_score) : value;
                    value = key < load_integers(s.first_key + g + v * lanes) ? broadcast(masked_score) : value;
                }
                store(row + i * group + v * lanes, value);
                tile_maximum[v] = value > tile_maximum[v] ? value : tile_maximum[v];
            }
    }
}

/// O = O * correction + V^T P for V vectors of lanes.
template <int V>
static void add_values(const float* values, std::int64_t value_dim, std::int64_t count, const float* weights, const Vector (&correction)[V], float* sums) noexcept {
    for (std::int64_t d = 0; d < value_dim; d += tile_rows) {
        Vector total[tile_rows][V];
        for (int i = 0; i < tile_rows; ++i)
            for (int v = 0; v < V; ++v) total[i][v] = load(sums + (d + i) * group + v * lanes) * correction[v];
        for (std::int64_t j = 0; j < count; ++j) {
            Vector weight[V];
            for (int v = 0; v < V; ++v) weight[v] = load(weights + j * group + v * lanes);
            for (int i = 0; i < tile_rows; ++i) {
                const Vector value = broadcast(values[j * value_dim + d + i]);
                for (int v = 0; v < V; ++v) total[i][v] = fused(weight[v], value, total[i][v]);
            }
        }
        for (int i = 0; i < tile_rows; ++i)
            for (int v = 0; v < V; ++v) store(sums + (d + i) * group + v * lanes, total[i][v]);
    }
}

/// O = O * correction + factor * V^T P, with values and weights as pairs of words.
template <int V>
static void add_value_words(const Scratch& s, std::int64_t value_dim, std::int64_t count, const Vector (&correction)[V], const Vector (&factor)[V], float* sums) noexcept {
    const std::int64_t padded = round_up(value_dim, lanes);
    for (std::int64_t d = 0; d < value_dim; d += tile_rows) {
        Integers products[tile_rows][V] = {};
        for (std::int64_t p = 0; p < (count + 1) / 2; ++p) {
            Bytes weight[V];
            for (int v = 0; v < V; ++v) weight[v] = load_bytes(s.scores + p * group + v * lanes);
            for (int i = 0; i < tile_rows; ++i) {
                const Integers value = broadcast_word(s.value_words + p * padded + d + i);
                for (int v = 0; v < V; ++v) products[i][v] = dot_words(products[i][v], weight[v], value);
            }
        }
        for (int i = 0; i < tile_rows; ++i)
            for (int v = 0; v < V; ++v) {
                float* const place = sums + (d + i) * group + v * lanes;
                store(place, fused(to_floats(products[i][v]), factor[v] * s.value_scale[d + i], load(place) * correction[v]));
            }
    }
}

/// Scores of a tile become weights relative to `most`, in place; adds them to `total` and their squares to `squares`.
template <int V>
static void weigh(float* scores, std::int64_t count, const Vector (&most)[V], Vector (&total)[V], Vector (&squares)[V]) noexcept {
    for (std::int64_t j = 0; j < count; ++j)
        for (int v = 0; v < V; ++v) {
            const Vector weight = decay_power(load(scores + j * group + v * lanes) - most[v]);
            store(scores + j * group + v * lanes, weight);
            total[v] += weight, squares[v] = fused(weight, weight, squares[v]);
        }
}

/// Weights of a tile times `factor` become pairs of words of neighbouring keys, in place.
template <int V>
static void weights_to_words(float* weights, std::int64_t count, const Vector (&factor)[V]) noexcept {
    if (count & 1) std::memset(weights + count * group, 0, group * sizeof(float));
    for (std::int64_t j = 0; j < count; j += 2)
        for (int v = 0; v < V; ++v) {
            const float* const at = weights + j * group + v * lanes;
            const Integers pair = join_words(nearest(load(at) * factor[v]), nearest(load(at + group) * factor[v]));
            std::memcpy(weights + j / 2 * group + v * lanes, &pair, sizeof pair);
        }
}

/// Scores of one tile of keys for the V vectors of lanes from lane `g` become weights, and O takes the values up.
template <int V>
static void mix_values(Scratch& s, std::int64_t g, std::int64_t count, const Tile& tile, const Vector (&tile_maximum)[V]) noexcept {
    float* const sums = s.sums + g * round_up(tile.value_dim, lanes);
    Vector most[V], correction[V], total[V], squares[V] = {};
    for (int v = 0; v < V; ++v) {
        const Vector before = load(s.maximum + g + v * lanes);
        most[v] = maximum(tile_maximum[v], before);
        correction[v] = decay_power(before - most[v]);
        total[v] = load(s.total + g + v * lanes) * correction[v];
        store(s.maximum + g + v * lanes, most[v]);
    }
    if (tile.exact) {
        weigh<V>(s.scores, count, most, total, squares);
        add_values<V>(s.tile_values_at, tile.value_dim, count, s.scores, correction, sums);
    } else {
        Vector tile_total[V] = {}, to_word[V], factor[V];
        weigh<V>(s.scores, count, tile_maximum, tile_total, squares);
        for (int v = 0; v < V; ++v) {
            const Vector tile_factor = decay_power(tile_maximum[v] - most[v]);
            to_word[v] = word_factor(squares[v], broadcast(1.0f));
            factor[v] = tile_factor / to_word[v], total[v] = fused(tile_total[v], tile_factor, total[v]);
        }
        weights_to_words<V>(s.scores, count, to_word);
        add_value_words<V>(s, tile.value_dim, count, correction, factor, sums);
    }
    for (int v = 0; v < V; ++v) store(s.total + g + v * lanes, total[v]);
}

/// One tile for the V vectors of lanes from lane `g`, as far as its last lane sees.
template <int V>
static void attend_lanes(Scratch& s, const Unit& unit, std::int64_t g, const Tile& tile) noexcept {
    const auto& seen = s.seen[g / group];
    const std::int64_t count = std::min(tile.count, seen.most_last + 1 - tile.position);
    if (count <= 0 || tile.position + count <= seen.least_first) return;
    const bool mask = round_up(count, tile_rows) > seen.least_last + 1 - tile.position || seen.most_first > tile.position;
    Vector tile_maximum[V];
    score<V>(s, unit, g, tile, count, mask, tile_maximum);
    mix_values<V>(s, g, count, tile, tile_maximum);
}

static void attend_tile(Scratch& s, const Unit& unit, const Tile& tile) noexcept {
    const std::int64_t used = unit.lanes_used();
    for (std::int64_t g = 0; g < used; g += group) {
        switch (std::min<std::int64_t>(vectors, (used - g + lanes - 1) / lanes)) {
            case 1: attend_lanes<1>(s, unit, g, tile); break;
            case 2: attend_lanes<2>(s, unit, g, tile); break;
            case 3: attend_lanes<std::min(3, vectors)>(s, unit, g, tile); break;
            default: attend_lanes<vectors>(s, unit, g, tile);
        }
    }
}

/// y = O / total, transposed back a group of lanes at a time.
static void store_outputs(const Call& call, const Unit& unit, std::int64_t value_dim, Scratch& s) noexcept {
    const std::int64_t used = unit.lanes_used(), padded_dim = round_up(value_dim, lanes);
    for (std::int64_t g = 0; g < used; g += group) {
        const std::int64_t count = std::min(group, used - g), padded_count = round_up(count, lanes);
        float* const sums = s.sums + g * padded_dim;
        for (std::int64_t l = 0; l < padded_count; l += lanes) {
            const Vector total = load(s.total + g + l), factor = total == Vector{} ? Vector{} : 1.0f / total;  // 0: an encoder that read nothing
            for (std::int64_t d = 0; d < value_dim; ++d) store(sums + d * group + l, load(sums + d * group + l) * factor);
        }
        transpose_into(sums, group, s.values, padded_dim, padded_dim, padded_count);
        for (std::int64_t l = 0; l < count; ++l)
            std::memcpy(call.output.row_f32(unit.row_of(g + l)) + unit.head_of(g + l) * value_dim, s.values + l * padded_dim, static_cast<std::size_t>(value_dim) * 4);
    }
}

static void attend(const Call& call, const Unit& unit) noexcept {
    Scratch s;
    const std::int64_t head_dim = call.states[0].shape[3], value_dim = call.states[1].shape[3];
    Tile tile{0, 0, head_dim, value_dim, call.states[0].format->name == "f32"};
    prepare_queries(call, unit, tile, s);
    const std::int64_t end = *std::max_element(s.last_key, s.last_key + unit.lanes_used()) + 1;
    tile.position = *std::min_element(s.first_key, s.first_key + unit.lanes_used()) / tile_keys * tile_keys;
    for (; tile.position < end; tile.position += tile_keys) {
        tile.count = std::min(tile_keys, end - tile.position);
        prepare_keys(call, unit, tile, s);
        prepare_values(call, unit, tile, s);
        attend_tile(s, unit, tile);
    }
    store_outputs(call, unit, value_dim, s);
}

/// How a call is cut: kv heads x slices of their query heads x blocks of rows.
struct Cut {
    std::int64_t group_heads, slice_heads, slices, block_rows, blocks;
};

static Cut cut_of(const Call& call) noexcept {
    const std::int64_t head_dim = call.states[0].shape[3], value_dim = call.states[1].shape[3];
    const std::int64_t capacity = lane_capacity(std::max(head_dim, value_dim)), rows = call.inputs[0].shape.rows();
    Cut cut{};
    cut.group_heads = call.attributes.integer("heads") / call.states[0].shape[1];
    cut.slice_heads = std::min(cut.group_heads, capacity);
    cut.slices = (cut.group_heads + cut.slice_heads - 1) / cut.slice_heads;
    cut.block_rows = capacity / cut.slice_heads;
    cut.blocks = (rows + cut.block_rows - 1) / cut.block_rows;
    return cut;
}

/// The rows of one block, a run of rows of the same sequence at a time.
static void attend_block(const Call& call, const Scoring& scoring, const Cut& cut, std::int64_t chunk) noexcept {
    const std::int64_t block = chunk % cut.blocks, slice = chunk / cut.blocks % cut.slices, kv_head = chunk / cut.blocks / cut.slices;
    const std::int64_t end = std::min(call.inputs[0].shape.rows(), (block + 1) * cut.block_rows), first_head = slice * cut.slice_heads;
    const std::int64_t heads = std::min(cut.slice_heads, cut.group_heads - first_head);
    for (std::int64_t r = block * cut.block_rows; r < end;) {
        const std::int32_t sequence = call.batch.sequences[static_cast<std::size_t>(r)];
        std::int64_t stop = r + 1;
        while (stop < end && call.batch.sequences[static_cast<std::size_t>(stop)] == sequence) ++stop;
        attend(call, {r, stop - r, kv_head * cut.group_heads + first_head, heads, kv_head, sequence, &scoring});
        r = stop;
    }
}

}  // namespace tiled

static void run(const Call& call) noexcept {
    // A step of many sequences has a row or a few of each: too few lanes to share a tile of keys.
    const std::span<const std::int32_t> sequences = call.batch.sequences;
    std::size_t runs = 1;
    for (std::size_t r = 1; r < sequences.size(); ++r) runs += sequences[r] != sequences[r - 1];
    if (static_cast<std::int64_t>(sequences.size()) < (few_rows + 1) * static_cast<std::int64_t>(runs)) return split_kernel.at(call.isa)(call);
    append(call);
    const tiled::Cut cut = tiled::cut_of(call);
    const Scoring scoring(call);
    call.pool->run(call.states[0].shape[1] * cut.slices * cut.blocks, [&](std::int64_t c, int) { tiled::attend_block(call, scoring, cut, c); });
}

}  // namespace tailor::ops::attention_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::attention_kernels {
const cpu::PerIsa<Run> tiled_kernel = TAILOR_EACH_ISA(run);
}
#endif
