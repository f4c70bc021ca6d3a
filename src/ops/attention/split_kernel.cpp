// Attention for a few rows: the context in parts, in parallel.
//
// One row has too few heads to keep all threads busy and to hide that some finish early, so the keys of a row are cut into
// parts, whatever the number of threads. A part gives, per head, its maximum m, total t = sum of 2^(s - m) and weighted
// sum o; the thread that finishes the last part of a head merges them in the order of the parts:
//     m = max m_i,  t = sum t_i 2^(m_i - m),  o = sum o_i 2^(m_i - m),  y = o / t,
// an associative operation, so every cut is right: Dao et al., "Flash-Decoding", 2023; Sanovar et al., "Lean Attention", 2024.
//
// Decoding one token reads every key and value once, so memory is the limit if each decoded one serves all the query heads
// of its kv head. Here keys lie across the vectors, 64 at a time, as the cache has them, and the registers hold the products of four
// heads with them. f16 and bf16 become f32 in registers where the processor converts them (a buffer between costs a fifth), other formats once
// per kv head. Caches of 4- and 8-bit blocks are multiplied as integers where the
// processor can (split_codes.h): decoded to f32, eight heads would need more multiplications than fit in the time of reading.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "cpu/simd.h"
#include "ops/attention/cache.h"
#include "ops/attention/kernels.h"

#define TAILOR_THIS_FILE "ops/attention/split_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::attention_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

namespace split {

#include "ops/attention/vectors.h"

#include "ops/attention/tiles.h"

#include "ops/decay_power.h"
#include "ops/stored_numbers.h"

// Vectors of keys, or of value dimensions, in a register tile with four heads: 16 sums at avx512, 8 below it.
constexpr int vectors = lanes == 16 ? 4 : 2;
// Heads that one unit handles: a larger group of query heads is cut, and reads its keys more than once.
constexpr std::int64_t most_heads = 16;
// A part is at least this long, since each costs a merge, a hand-out and its queries as integers; twice as long where there are four units
// anyway (5 % of 8,192 keys in q8_0) ...
constexpr std::int64_t least_part_keys = 512;
// ... and a call has about this many units, so that no thread waits long for the last one.
constexpr std::int64_t units_wanted = 128;
// Floats for the results of parts on the caller's stack: 512 KB. Where they do not suffice there are fewer parts.
constexpr std::int64_t partial_capacity = 128 * 1024;
// Units of (row, slice of heads) that have parts; more of them are plenty of units without parts.
constexpr std::int64_t most_merges = units_wanted / 2;
constexpr float no_score = -1e30f;
constexpr float log2_e = 1.44269504088896341f;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// How a call is cut: rows x kv heads x slices of their query heads x parts of the context.
struct Cut {
    std::int64_t group_heads, slice_heads, slices, parts, part_keys, partial_floats;
};

/// What one unit computes, for up to most_heads heads.
struct Running {
    alignas(64) float sums[most_heads * most_head_dim];  // [head][value dimension, rounded up to a vector]
    alignas(64) float maximum[most_heads];
    Vector total[most_heads];  // spread over the lanes
};

struct Scratch {
    alignas(64) float rows[tile_keys * most_head_dim + 64];  // decoded values, or keys before they are transposed
    alignas(64) float keys[tile_keys * most_head_dim];       // decoded keys
    alignas(64) float scores[most_heads * tile_keys];        // [head][key]
};

/// One row at `position`, some heads, some keys.
struct Unit {
    std::int64_t row, position, kv_head, first_head, heads;
    Keys keys;
    const Scoring* scoring;

    /// The keys of the tile from `tile_begin` that the unit sees, counted from there.
    Keys within(std::int64_t tile_begin) const { return {std::max<std::int64_t>(0, keys.begin - tile_begin), std::min(tile_keys, keys.end - tile_begin)}; }
};

/// The next tile, asked for a line or a few at a time between the products of this one: the processor's own prefetching stops at
/// the end of a page, and all lines at once would fill its queue of misses.
struct Ahead {
    const std::byte* at;
    std::int64_t stride;  ///< bytes per step; all of them are asked for up to two lines
    [[gnu::always_inline]] void step() noexcept {
        __builtin_prefetch(at);
        __builtin_prefetch(at + 64);
        at += stride;
    }
};
/// The tile behind one of `bytes`, in `steps`.
static inline Ahead next_tile(const std::byte* tile, std::int64_t bytes, std::int64_t steps) { return {tile + bytes, (bytes / 64 + steps - 1) / steps * 64}; }

/// scores[h][key] = factor * q[h] . key for H heads and V vectors of keys.
template <class Number, int H, int V>
static void score(const float* q, std::int64_t dim, const std::byte* keys, float factor, Ahead& ahead, float* scores) noexcept {
    Vector products[H][V] = {};
    Ahead prefetch = ahead;
    for (std::int64_t d = 0; d < dim; ++d) {
        prefetch.step();
        Vector key[V];
        for (int v = 0; v < V; ++v) key[v] = Number::values(keys + (d * tile_keys + v * lanes) * Number::bytes);
        for (int h = 0; h < H; ++h) {
            const Vector query = broadcast(q[h * dim + d]);
            for (int v = 0; v < V; ++v) products[h][v] = fused(query, key[v], products[h][v]);
        }
    }
    for (int h = 0; h < H; ++h)
        for (int v = 0; v < V; ++v) store(scores + h * tile_keys + v * lanes, products[h][v] * factor);
    ahead = prefetch;
}

/// sums[h] = sums[h] * correction[h] + factor[h] * (sum over keys of weights[h][key] * values[key]), for H heads and V vectors of dimensions.
template <class Number, int H, int V>
static void add_values(const float* weights, const std::byte* values, std::int64_t dim, std::int64_t count, const float* correction, const float* factor, Ahead& ahead, float* sums,
                       std::int64_t sums_stride) noexcept {
    Vector total[H][V] = {};
    Ahead prefetch = ahead;
    for (std::int64_t j = 0; j < count; ++j) {
        prefetch.step();
        Vector value[V];
        for (int v = 0; v < V; ++v) value[v] = Number::values(values + (j * dim + v * lanes) * Number::bytes);
        for (int h = 0; h < H; ++h) {
            const Vector weight = broadcast(weights[h * tile_keys + j]);
            for (int v = 0; v < V; ++v) total[h][v] = fused(weight, value[v], total[h][v]);
        }
    }
    for (int h = 0; h < H; ++h)
        for (int v = 0; v < V; ++v) {
            float* const place = sums + h * sums_stride + v * lanes;
            store(place, fused(total[h][v], broadcast(factor[h]), load(place) * correction[h]));
        }
    ahead = prefetch;
}

/// Softcap and biases of the scores (times log2 e) of head `h` with the keys of the tile from `tile_begin`.
static void adjust(const Unit& unit, std::int64_t h, std::int64_t tile_begin, float* scores) noexcept {
    const Scoring& scoring = *unit.scoring;
    const float cap = scoring.softcap * log2_e, slope = scoring.slope(h) * log2_e;
    for (std::int64_t j = 0; cap > 0 && j < tile_keys; j += lanes) store(scores + j, hyperbolic_tangent(load(scores + j) * (1 / cap)) * cap);
    for (std::int64_t j = 0; j < tile_keys; ++j) {
        const std::int64_t distance = tile_begin + j - unit.position;
        scores[j] += slope * static_cast<float>(distance);
        if (scoring.bias) scores[j] += scoring.bias_at(h, distance) * log2_e;
    }
}

/// What a tile does to the sums of its heads: sums = sums * correction + tile_factor * (sums of the tile).
struct Moved {
    alignas(64) float correction[most_heads], tile_factor[most_heads];
};

/// Scores of one head become weights relative to the tile's own maximum; returns their total, spread over the lanes.
static Vector weigh(float most, float* scores) noexcept {
    Vector total = {};
    for (std::int64_t j = 0; j < tile_keys; j += lanes) {
        const Vector weight = decay_power(load(scores + j) - most);
        store(scores + j, weight);
        total += weight;
    }
    return total;
}

/// Scores of all heads of the unit become weights; the maxima and totals move on. What concerns maxima alone is done for a vector of
/// heads at a time: it takes two exponentials where the weights take tile_keys / lanes per head.
static void weigh_all(const Unit& unit, std::int64_t tile_begin, float* scores, Running& running, Moved& moved) noexcept {
    alignas(64) float tile_most[most_heads] = {};
    const Keys seen = unit.within(tile_begin);
    for (std::int64_t h = 0; h < unit.heads; ++h) {
        float* const of_head = scores + h * tile_keys;
        if (unit.scoring->changes_scores()) adjust(unit, unit.first_head + h, tile_begin, of_head);
        for (std::int64_t j = 0; j < seen.begin; ++j) of_head[j] = no_score;
        for (std::int64_t j = seen.end; j < tile_keys; ++j) of_head[j] = no_score;
        Vector most = load(of_head);
        for (std::int64_t j = lanes; j < tile_keys; j += lanes) most = maximum(most, load(of_head + j));
        tile_most[h] = spread_largest(most)[0];
    }
    for (std::int64_t h = 0; h < unit.heads; h += lanes) {
        const Vector tile = load(tile_most + h), before = load(running.maximum + h), most = maximum(tile, before);
        store(moved.correction + h, decay_power(before - most)), store(moved.tile_factor + h, decay_power(tile - most));
        store(running.maximum + h, most);
    }
    for (std::int64_t h = 0; h < unit.heads; ++h)
        running.total[h] = fused(weigh(tile_most[h], scores + h * tile_keys), broadcast(moved.tile_factor[h]), running.total[h] * moved.correction[h]);
}

#include "ops/attention/split_codes.h"

using Score = void (*)(const float*, std::int64_t, const std::byte*, float, Ahead&, float*) noexcept;
using AddValues = void (*)(const float*, const std::byte*, std::int64_t, std::int64_t, const float*, const float*, Ahead&, float*, std::int64_t) noexcept;
template <class Number>
constexpr Score score_of_heads[] = {nullptr, &score<Number, 1, vectors>, &score<Number, 2, vectors>, &score<Number, 3, vectors>, &score<Number, 4, vectors>};
template <class Number, int H>
constexpr AddValues add_to_heads[] = {nullptr, &add_values<Number, H, 1>, &add_values<Number, H, 2>, &add_values<Number, H, std::min(3, vectors)>, &add_values<Number, H, vectors>};
template <class Number>
constexpr const AddValues* add_values_of_heads[] = {nullptr, add_to_heads<Number, 1>, add_to_heads<Number, 2>, add_to_heads<Number, 3>, add_to_heads<Number, 4>};

/// One tile of keys and values: Halves and UpperHalves are read where they stand in the cache; Floats are decoded first, unless it has f32.
template <class Number>
static void attend_tile(const Call& call, const Unit& unit, std::int64_t tile_begin, float factor, Scratch& s, Running& running) noexcept {
    constexpr bool decodes = Number::bytes == 4;
    const core::Tensor &k_cache = call.states[0], &v_cache = call.states[1];
    const std::int64_t head_dim = k_cache.shape[3], value_dim = v_cache.shape[3], sequence = call.batch.sequences[static_cast<std::size_t>(unit.row)];
    const std::byte *const key_tile = cache_tile(k_cache, sequence, unit.kv_head, tile_begin), *const value_tile = cache_tile(v_cache, sequence, unit.kv_head, tile_begin);
    const std::byte* const keys = decodes ? reinterpret_cast<const std::byte*>(tile_of_keys(k_cache, key_tile, call.isa, s.keys, s.rows)) : key_tile;
    const float* const q = call.inputs[0].row_f32(unit.row) + unit.first_head * head_dim;
    const std::int64_t end = unit.within(tile_begin).end, fours = (unit.heads + 3) / 4, padded = round_up(value_dim, lanes);
    Ahead keys_ahead = next_tile(key_tile, tile_keys * k_cache.format->row_bytes(head_dim), fours * (tile_keys / (vectors * lanes)) * head_dim);
    for (std::int64_t h = 0; h < unit.heads; h += 4)
        for (std::int64_t j = 0; j < end; j += vectors * lanes)
            score_of_heads<Number>[std::min<std::int64_t>(4, unit.heads - h)](q + h * head_dim, head_dim, keys + j * Number::bytes, factor, keys_ahead, s.scores + h * tile_keys + j);
    Moved moved;
    weigh_all(unit, tile_begin, s.scores, running, moved);
    const std::byte* const values = decodes ? reinterpret_cast<const std::byte*>(tile_of_values(v_cache, value_tile, call.isa, s.rows)) : value_tile;
    Ahead values_ahead = next_tile(value_tile, tile_keys * v_cache.format->row_bytes(value_dim), fours * ((padded + vectors * lanes - 1) / (vectors * lanes)) * tile_keys);
    for (std::int64_t h = 0; h < unit.heads; h += 4)
        for (std::int64_t d = 0; d < padded; d += vectors * lanes)
            add_values_of_heads<Number>[std::min<std::int64_t>(4, unit.heads - h)][std::min<std::int64_t>(vectors, (padded - d) / lanes)](
                s.scores + h * tile_keys, values + d * Number::bytes, value_dim, end, moved.correction + h, moved.tile_factor + h, values_ahead, running.sums + h * padded + d, padded);
}

template <class Number>
static void attend_tiles(const Call& call, const Unit& unit, float factor, Running& running) noexcept {
    Scratch s;
    for (std::int64_t j = unit.keys.begin / tile_keys * tile_keys; j < unit.keys.end; j += tile_keys) attend_tile<Number>(call, unit, j, factor, s, running);
}

/// Whether a cache of `format` can be read in place: the processor converts its numbers, and no vector reads beyond a row of values.
static bool reads_in_place(const Call& call, std::string_view format) noexcept {
    return lanes > 4 && call.states[0].format->name == format && call.states[1].format->name == format && call.states[1].shape[3] % lanes == 0;
}

#if defined(__x86_64__)
template <CacheLayout layout, int width>
static void attend_in_codes(const Call& call, const Unit& unit, float factor, Running& running) noexcept {
    CodeScratch s;
    const core::Tensor &k = call.states[0], &v = call.states[1];
    const std::int64_t head_dim = k.shape[3], value_dim = v.shape[3], sequence = call.batch.sequences[static_cast<std::size_t>(unit.row)];
    prepare_queries<layout, width>(call.inputs[0].row_f32(unit.row) + unit.first_head * head_dim, unit.heads, head_dim, factor, s);
    for (std::int64_t j = unit.keys.begin / tile_keys * tile_keys; j < unit.keys.end; j += tile_keys) {
        const std::byte *const keys = cache_tile(k, sequence, unit.kv_head, j), *const values = cache_tile(v, sequence, unit.kv_head, j);
        attend_codes<layout, width>(unit, j, keys, head_dim, values, value_dim, s, running);
    }
}
#endif

template <int width = lanes>
static void attend(const Call& call, const Unit& unit, Running& running) noexcept {
    const std::int64_t padded = round_up(call.states[1].shape[3], lanes);
    std::memset(running.sums, 0, static_cast<std::size_t>(unit.heads * padded) * 4);
    std::fill_n(running.maximum, most_heads, no_score);
    for (std::int64_t h = 0; h < unit.heads; ++h) running.total[h] = Vector{};
    if (unit.scoring->sinks && unit.keys.begin == Mask(call).of(call.batch, unit.row).begin)  // the first part has the sinks
        for (std::int64_t h = 0; h < unit.heads; ++h) running.maximum[h] = unit.scoring->sinks[unit.first_head + h] * log2_e, running.total[h][0] = 1;
    const float factor = static_cast<float>(call.attributes.real("scale")) * log2_e;
#if defined(__x86_64__)
    if constexpr (width == 16)
        switch (layout_of(call.states[0])) {
            case CacheLayout::bytes: return attend_in_codes<CacheLayout::bytes, width>(call, unit, factor, running);
            case CacheLayout::nibbles: return attend_in_codes<CacheLayout::nibbles, width>(call, unit, factor, running);
            default: break;
        }
#endif
    if (reads_in_place(call, "f16")) return attend_tiles<Halves>(call, unit, factor, running);
    if (reads_in_place(call, "bf16")) return attend_tiles<UpperHalves>(call, unit, factor, running);
    attend_tiles<Floats>(call, unit, factor, running);
}

static Cut cut_of(const Call& call) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows(), kv_heads = call.states[0].shape[1];
    std::int64_t keys = 0;
    const Mask mask(call);
    for (std::int64_t r = 0; r < rows; ++r) {
        const Keys seen = mask.of(call.batch, r);
        keys = std::max(keys, seen.end - seen.begin / tile_keys * tile_keys);
    }
    Cut cut{};
    cut.group_heads = call.attributes.integer("heads") / kv_heads;
    cut.slice_heads = std::min(cut.group_heads, most_heads);
    cut.slices = (cut.group_heads + cut.slice_heads - 1) / cut.slice_heads;
    cut.partial_floats = call.states[1].shape[3] + 2;
    const std::int64_t merges = rows * kv_heads * cut.slices;
    const std::int64_t room = partial_capacity / (merges * cut.slice_heads * cut.partial_floats);
    const std::int64_t least_keys = merges >= 4 ? 2 * least_part_keys : least_part_keys;
    cut.parts = std::max<std::int64_t>(1, std::min({(keys + least_keys - 1) / least_keys, units_wanted / merges, room}));
    cut.part_keys = round_up((keys + cut.parts - 1) / cut.parts, tile_keys);
    return cut;
}

/// Results of the parts of one (row, slice of heads): [part][head][maximum, total, sums...].
static void merge(const Call& call, const Cut& cut, const Unit& unit, const float* partials) noexcept {
    const std::int64_t value_dim = cut.partial_floats - 2, part_stride = cut.slice_heads * cut.partial_floats;
    for (std::int64_t h = 0; h < unit.heads; ++h) {
        const float* const first = partials + h * cut.partial_floats;
        float* const y = call.output.row_f32(unit.row) + (unit.first_head + h) * value_dim;
        float most = first[0], total = 0;
        for (std::int64_t p = 1; p < cut.parts; ++p) most = std::max(most, first[p * part_stride]);
        std::memset(y, 0, static_cast<std::size_t>(value_dim) * 4);
        for (std::int64_t p = 0; p < cut.parts; ++p) {
            const float* const part = first + p * part_stride;
            const float factor = std::exp2(part[0] - most);
            total += part[1] * factor;
            for (std::int64_t d = 0; d < value_dim; ++d) y[d] += part[2 + d] * factor;
        }
        for (std::int64_t d = 0; d < value_dim && total != 0; ++d) y[d] /= total;
    }
}

/// One unit; the one that finishes last among the parts of a (row, slice of heads) merges them.
static void attend_part(const Call& call, const Scoring& scoring, const Cut& cut, std::int64_t chunk, float* partials, std::atomic<std::int32_t>* parts_left) noexcept {
    const std::int64_t part = chunk % cut.parts, merge_index = chunk / cut.parts, slice = merge_index % cut.slices;
    const std::int64_t kv_heads = call.states[0].shape[1], kv_head = merge_index / cut.slices % kv_heads, row = merge_index / cut.slices / kv_heads;
    const std::int64_t position = call.batch.positions[static_cast<std::size_t>(row)], first_head = slice * cut.slice_heads;
    const Keys keys = Mask(call).of(call.batch, row);
    const std::int64_t begin = keys.begin / tile_keys * tile_keys + part * cut.part_keys;  // parts are whole tiles
    const Unit unit{row, position, kv_head, kv_head * cut.group_heads + first_head, std::min(cut.slice_heads, cut.group_heads - first_head),
                    {std::clamp(begin, keys.begin, keys.end), std::min(keys.end, begin + cut.part_keys)}, &scoring};
    Running running;
    attend(call, unit, running);
    const std::int64_t value_dim = cut.partial_floats - 2, padded = round_up(value_dim, lanes);
    float* const own = partials + merge_index * cut.parts * cut.slice_heads * cut.partial_floats;
    for (std::int64_t h = 0; h < unit.heads; ++h) {
        const float total = sum(running.total[h]);
        float* const y = cut.parts == 1 ? call.output.row_f32(row) + (unit.first_head + h) * value_dim : own + (part * cut.slice_heads + h) * cut.partial_floats + 2;
        if (cut.parts > 1) y[-2] = running.maximum[h], y[-1] = total;
        const float divisor = cut.parts > 1 || total == 0 ? 1.0f : total;
        for (std::int64_t d = 0; d < value_dim; ++d) y[d] = running.sums[h * padded + d] / divisor;
    }
    if (cut.parts > 1 && parts_left[merge_index].fetch_sub(1, std::memory_order_acq_rel) == 1) merge(call, cut, unit, own);
}

}  // namespace split

static void run(const Call& call) noexcept {
    append(call);
    const split::Cut cut = split::cut_of(call);
    const std::int64_t merges = call.inputs[0].shape.rows() * call.states[0].shape[1] * cut.slices;
    const Scoring scoring(call);
    alignas(64) float partials[split::partial_capacity];
    std::atomic<std::int32_t> parts_left[split::most_merges];
    if (cut.parts > 1)
        for (std::int64_t i = 0; i < merges; ++i) parts_left[i].store(static_cast<std::int32_t>(cut.parts), std::memory_order_relaxed);
    call.pool->run(merges * cut.parts, [&](std::int64_t c, int) { split::attend_part(call, scoring, cut, c, partials, parts_left); });
}

}  // namespace tailor::ops::attention_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::attention_kernels {
const cpu::PerIsa<Run> split_kernel = TAILOR_EACH_ISA(run);
}
#endif
