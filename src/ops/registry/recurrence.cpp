// The kernels of linear recurrences; see ops/recurrence.h for what is computed.
//
// In chunks of C = 16 rows, with W_t the product of the decays up to row t of the chunk and S the state before it:
//     y_t = (q_t W_t)^T S + sum over s <= t of P[t][s] v_s,        P[t][s] = q_t^T diag(w_(s+1) ... w_t) k_s
//     S'  = diag(W_C) S   + sum over s of (k_s w_(s+1) ... w_C) v_s^T
// and, where there is z, Z from the same formula with a_t and W_(t-1), solved row by row since z_t needs the z_s before it.
// With one decay per head its factors go on rows of results and of v. With one per dimension, P is a product of two small
// matrices too, q_t W_t and k_s / W_s, as long as no W falls below 1e-20; a chunk with stronger decay multiplies the decays of
// every pair of rows up one by one, which nothing can overflow.
//
// Why 16: per row and head the state costs 2 key_dim value_dim products in any chunk, P another C (key_dim + value_dim) / 2, so
// short chunks do least work, and 16 rows already reuse each loaded number of S often enough to be bound by products.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/simd.h"
#include "ops/recurrence.h"

#define TAILOR_THIS_FILE "ops/registry/recurrence.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::recurrence_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"
#include "ops/decay_power.h"

constexpr std::int64_t chunk = recurrence_chunk;
// Most value columns of one unit of work. In chunks, what does not depend on them is computed once for all 128 of a wide head; row by
// row 64 are enough, and more units for more threads.
constexpr std::int64_t block = 128, step_block = 64;
// Register tile: 4 rows x `vectors` vectors; avx512 has 32 registers, the others 16.
constexpr int vectors = lanes == 16 ? 4 : 2;
constexpr int tile_rows = 4;

#include "ops/registry/recurrence_pairs.h"

/// Buffers of one unit, about 500 KB on the stack of its thread. Copied rows of keys are padded with zeros to a multiple of 16.
struct Scratch {
    alignas(64) float q[chunk * most_key_dim], k[chunk * most_key_dim], a[chunk * most_key_dim], b[chunk * most_key_dim];  // copies
    alignas(64) float w[chunk * most_key_dim];                                                                           // decays
    alignas(64) float decayed_q[chunk * most_key_dim], decayed_a[chunk * most_key_dim];  // times the decays since the chunk's begin
    alignas(64) float decayed_k[chunk * most_key_dim], decayed_b[chunk * most_key_dim];  // times the decays until its end
    alignas(64) float total_decay[most_key_dim], inverse_decay[most_key_dim];
    alignas(64) float k_columns[most_key_dim * chunk], b_columns[most_key_dim * chunk];  // transposed
    alignas(64) float qk[chunk * chunk], qb[chunk * chunk], ak[chunk * chunk], ab[chunk * chunk];  // P of pairs of rows
    alignas(64) float v[chunk * block], z[chunk * block], y[chunk * block];
    alignas(64) float state[most_key_dim * block];  // a copy, where the columns are no whole vectors
    // One number per row; with one decay per head: its logarithm or the decay, products since the chunk's begin and until its end,
    // and between two rows [later][earlier].
    alignas(64) float beta[chunk], row_decay[chunk], since[chunk], until[chunk], between[chunk * chunk];
    // What the products read: rows in the inputs or in the buffers above, and factors on the results of q and a.
    const float *q_rows[chunk], *k_rows[chunk], *a_rows[chunk], *b_rows[chunk], *decay_rows[chunk];
    float q_factor[chunk], a_factor[chunk];
    Words words;
    float* outputs;  // [chunk][output_stride]: in the output tensor, or y
    std::int64_t output_stride;
};

/// A range of one head's value columns over a run of rows.
struct Unit {
    std::int64_t first_column, columns, padded_columns, padded_keys;
    float* state;
    std::int64_t state_stride;
    float* output;  ///< of row 0
    std::int64_t output_stride;
};

/// The operands of one head alone. Finding its columns costs two divisions, for hundreds of rows in every chunk.
static Recurrence of_head(const Recurrence& all, std::int64_t head) noexcept {
    Recurrence r = all;
    for (HeadRows* const operand : {&r.q, &r.k, &r.v, &r.log_decay, &r.value_scale, &r.a, &r.b}) *operand = operand->of_head(head);
    if (r.rate) r.rate += head;
    if (r.bonus) r.bonus += head * r.key_dim;
    if (r.skip) r.skip += head;
    return r;
}

/// Whether decays are per dimension of the key; where that is one, the general forms still want it so.
static bool by_dimension(const Recurrence& r) noexcept { return r.log_decay.dim > 1 || r.a || r.bonus; }

// What stands for the rows that a chunk lacks.
alignas(64) constexpr float zeros[most_key_dim] = {};

static void copy_scaled(const float* from, float factor, float* to, std::int64_t count, std::int64_t padded) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(to + i, load(from + i) * factor);
    for (; i < count; ++i) to[i] = from[i] * factor;
    for (; i < padded; ++i) to[i] = 0;
}

/// Rows [first, first + count) of an operand: where they are, or copied if they must be padded or with `copy`; then zeros.
static void find_rows(const HeadRows& from, const Recurrence& r, const Unit& u, std::int64_t first, std::int64_t count, bool copy, float* copies, const float** rows) noexcept {
    for (std::int64_t t = 0; t < chunk; ++t) {
        rows[t] = zeros;
        if (t >= count) continue;
        rows[t] = from.row(first + t);
        if (!copy && u.padded_keys == r.key_dim) continue;
        copy_scaled(rows[t], 1, copies + t * u.padded_keys, r.key_dim, u.padded_keys);
        rows[t] = copies + t * u.padded_keys;
    }
}

/// The operands of rows [first, first + count), followed by rows that change nothing.
static void load_rows(const Recurrence& r, const Unit& u, std::int64_t first, std::int64_t count, Scratch& s) noexcept {
    find_rows(r.q, r, u, first, count, false, s.q, s.q_rows);
    // Every product of the state's update reads all rows of k. In the tensor they lie as far apart as pages, where a first-level cache
    // keeps 8 or 12 of the 16; with decays per dimension they are multiplied into a buffer anyway. Copied: a tenth of linear_attention.
    find_rows(r.k, r, u, first, count, !by_dimension(r), s.k, s.k_rows);
    if (r.a) find_rows(r.a, r, u, first, count, false, s.a, s.a_rows), find_rows(r.b, r, u, first, count, false, s.b, s.b_rows);
    if (by_dimension(r)) find_rows(r.log_decay, r, u, first, count, false, s.w, s.decay_rows);
    for (std::int64_t t = 0; t < chunk; ++t) {
        const bool present = t < count;
        s.beta[t] = !present ? 0.0f : r.value_scale ? *r.value_scale.row(first + t) : 1.0f;
        s.row_decay[t] = present && r.log_decay && !by_dimension(r) ? *r.log_decay.row(first + t) * (r.rate ? *r.rate : 1.0f) : 0.0f;
        if (present) copy_scaled(r.v.row(first + t) + u.first_column, s.beta[t], s.v + t * block, u.columns, u.padded_columns);
        else std::fill_n(s.v + t * block, u.padded_columns, 0.0f);
    }
}

template <int R, int V>
[[gnu::always_inline]] inline void load_tile(Vector (&tile)[R][V], const float* from, std::int64_t stride) noexcept {
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) tile[r][v] = load(from + r * stride + v * lanes);
}
template <int R, int V>
[[gnu::always_inline]] inline void store_tile(const Vector (&tile)[R][V], float* to, std::int64_t stride) noexcept {
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) store(to + r * stride + v * lanes, tile[r][v]);
}

/// sums[r][v] += sum over d of left[r][d] * right[d * stride + v * lanes ...].
template <int R, int V>
[[gnu::always_inline]] inline void accumulate(Vector (&sums)[R][V], const float* const* left, std::int64_t depth, const float* right, std::int64_t stride) noexcept {
    const float* rows[R];
    for (int r = 0; r < R; ++r) rows[r] = left[r];
    for (std::int64_t d = 0; d < depth; ++d, right += stride) {
        Vector x[V];
        for (int v = 0; v < V; ++v) x[v] = load(right + v * lanes);
        for (int r = 0; r < R; ++r) {
            const Vector factor = broadcast(rows[r][d]);
            for (int v = 0; v < V; ++v) sums[r][v] = fused(x[v], factor, sums[r][v]);
        }
    }
}

/// The same with left[r * left_stride + d].
template <int R, int V>
[[gnu::always_inline]] inline void accumulate(Vector (&sums)[R][V], const float* left, std::int64_t left_stride, std::int64_t depth, const float* right, std::int64_t stride) noexcept {
    const float* rows[R];
    for (int r = 0; r < R; ++r) rows[r] = left + r * left_stride;
    accumulate(sums, rows, depth, right, stride);
}

/// The same with left[d][first + r]: sums of outer products of the chunk's rows.
template <int R, int V>
[[gnu::always_inline]] inline void accumulate_outer(Vector (&sums)[R][V], const float* const* left, std::int64_t first, const float* right) noexcept {
    for (std::int64_t d = 0; d < chunk; ++d, right += block) {
        const float* const factors = left[d] + first;
        Vector x[V];
        for (int v = 0; v < V; ++v) x[v] = load(right + v * lanes);
        for (int r = 0; r < R; ++r) {
            const Vector factor = broadcast(factors[r]);
            for (int v = 0; v < V; ++v) sums[r][v] = fused(x[v], factor, sums[r][v]);
        }
    }
}

/// products[t][s] = rows[t] . columns[.][s].
static void multiply_rows(const float* const* rows, const float* columns, std::int64_t key_dim, float* products) noexcept {
    constexpr int across = chunk / lanes, down = lanes == 16 ? 8 : 4;
    for (std::int64_t t = 0; t < chunk; t += down) {
        Vector sums[down][across] = {};
        accumulate(sums, rows + t, key_dim, columns, chunk);
        store_tile(sums, products + t * chunk, chunk);
    }
}

static void transpose_rows(const float* const* rows, std::int64_t keys, float* columns) noexcept {
    for (std::int64_t t = 0; t < chunk; t += lanes)
        for (std::int64_t i = 0; i < keys; i += lanes) {
            Vector square[lanes];
            for (int l = 0; l < lanes; ++l) square[l] = load(rows[t + l] + i);
            transpose(square);
            for (int l = 0; l < lanes; ++l) store(columns + (i + l) * chunk + t, square[l]);
        }
}

// ---- One decay per head ----

[[gnu::always_inline]] inline Vector lane_numbers(std::int64_t first) {
    float numbers[lanes];
    for (int i = 0; i < lanes; ++i) numbers[i] = static_cast<float>(first + i);
    return load(numbers);
}

/// Products of the decays of rows.
static void multiply_decays(Scratch& s) noexcept {
    for (std::int64_t t = 0; t < chunk; t += lanes) store(s.row_decay + t, decay_of(load(s.row_decay + t)));
    float product = 1;
    for (std::int64_t t = 0; t < chunk; ++t) s.since[t] = product *= s.row_decay[t];
    product = 1;
    for (std::int64_t t = chunk; t-- > 0; product *= s.row_decay[t]) s.until[t] = product;
    for (std::int64_t g = 0; g < chunk; g += lanes) {
        const Vector lane = lane_numbers(g);
        Vector ratio{};
        for (std::int64_t t = 0; t < chunk; ++t) {
            const Vector row = broadcast(static_cast<float>(t));
            ratio = lane < row ? ratio * s.row_decay[t] : lane == row ? broadcast(1.0f) : Vector{};
            store(s.between + t * chunk + g, ratio);
        }
    }
}

/// Everything but the values for a recurrence with one decay per head, which is plain or a delta rule.
static void prepare_by_row(const Recurrence& r, const Unit& u, Scratch& s) noexcept {
    multiply_decays(s);
    transpose_rows(s.k_rows, u.padded_keys, s.k_columns);
    multiply_rows(s.q_rows, s.k_columns, r.key_dim, s.qk);
    if (r.delta_rule) multiply_rows(s.k_rows, s.k_columns, r.key_dim, s.ak);
    for (std::int64_t t = 0; t < chunk; ++t) {
        s.q_factor[t] = r.query_scale * s.since[t], s.a_factor[t] = -s.beta[t] * s.since[t];
        for (std::int64_t i = t * chunk; i < (t + 1) * chunk; i += lanes) {
            store(s.qk + i, load(s.qk + i) * (load(s.between + i) * r.query_scale));
            if (r.delta_rule) store(s.ak + i, load(s.ak + i) * (load(s.between + i) * -s.beta[t]));
        }
        s.a_rows[t] = s.k_rows[t];
    }
    std::fill_n(s.total_decay, u.padded_keys, s.since[chunk - 1]);
}

// ---- One decay per dimension of the key ----

/// Vector `i` of the keys: decays, and the operands times the decays between them and the chunk's ends; returns all decays' product.
static Vector decay_operands(const Recurrence& r, Scratch& s, std::int64_t i, std::int64_t keys) noexcept {
    Vector w[chunk], product = broadcast(1.0f);
    for (std::int64_t t = 0; t < chunk; ++t) {
        const std::int64_t at = t * keys + i;
        w[t] = decay_of(load(s.decay_rows[t] + i));
        const Vector before = product;
        product *= w[t];
        store(s.decayed_q + at, load(s.q_rows[t] + i) * (r.bonus ? before : product) * r.query_scale);
        if (r.a) store(s.decayed_a + at, load(s.a_rows[t] + i) * before);
        if (r.delta_rule) store(s.decayed_a + at, load(s.k_rows[t] + i) * product * -s.beta[t]);
    }
    const Vector total = product;
    product = broadcast(1.0f);
    for (std::int64_t t = chunk; t-- > 0; product *= w[t]) {
        const std::int64_t at = t * keys + i;
        store(s.decayed_k + at, load(s.k_rows[t] + i) * product);
        if (r.a) store(s.decayed_b + at, load(s.b_rows[t] + i) * product);
    }
    return total;
}

/// Pairs of rows whose decays are multiplied up one by one: Lefts x Rights products. A left operand meets the earlier rows before or
/// after this row's own decay.
template <int Lefts, int Rights, bool FirstBefore, bool SecondBefore>
struct CarefulPairs {
    const float* const* left[Lefts];  ///< rows
    float* right[Rights];             ///< [keys][chunk], decayed in place
    float* products[Lefts * Rights];
    static constexpr bool before(int l) { return l == 0 ? FirstBefore : SecondBefore; }

    /// Rows [t, t + 4) against the earlier rows [g, g + lanes).
    void multiply(const Scratch& s, std::int64_t keys, std::int64_t key_dim, std::int64_t t, std::int64_t g) const noexcept {
        const Vector lane = lane_numbers(g);
        Vector sums[tile_rows][Lefts * Rights] = {};
        for (std::int64_t i = 0; i < key_dim; ++i) {
            Vector x[Rights];
            for (int n = 0; n < Rights; ++n) x[n] = load(right[n] + i * chunk + g);
            for (int j = 0; j < tile_rows; ++j) {
                for (int l = 0; l < Lefts; ++l)
                    for (int n = 0; before(l) && n < Rights; ++n) sums[j][l * Rights + n] = fused(x[n], broadcast(left[l][t + j][i]), sums[j][l * Rights + n]);
                const float w = s.w[(t + j) * keys + i];
                for (int n = 0; n < Rights; ++n) x[n] = lane < broadcast(static_cast<float>(t + j)) ? x[n] * w : x[n];
                for (int l = 0; l < Lefts; ++l)
                    for (int n = 0; !before(l) && n < Rights; ++n) sums[j][l * Rights + n] = fused(x[n], broadcast(left[l][t + j][i]), sums[j][l * Rights + n]);
            }
            for (int n = 0; n < Rights; ++n) store(right[n] + i * chunk + g, x[n]);
        }
        for (int j = 0; j < tile_rows; ++j)
            for (int p = 0; p < Lefts * Rights; ++p) store(products[p] + (t + j) * chunk + g, sums[j][p]);
    }

    void run(const Scratch& s, std::int64_t keys, std::int64_t key_dim) const noexcept {
        for (std::int64_t g = 0; g < chunk; g += lanes)
            for (std::int64_t t = g / tile_rows * tile_rows; t < chunk; t += tile_rows) multiply(s, keys, key_dim, t, g);
    }
};

static void pair_carefully(const Recurrence& r, const Unit& u, Scratch& s) noexcept {
    const std::int64_t keys = u.padded_keys;
    for (std::int64_t t = 0; t < chunk; ++t)
        for (std::int64_t i = 0; i < keys; i += lanes) store(s.w + t * keys + i, decay_of(load(s.decay_rows[t] + i)));
    transpose_rows(s.k_rows, keys, s.k_columns);
    if (r.a) {
        transpose_rows(s.b_rows, keys, s.b_columns);
        CarefulPairs<2, 2, false, true>{{s.q_rows, s.a_rows}, {s.k_columns, s.b_columns}, {s.qk, s.qb, s.ak, s.ab}}.run(s, keys, r.key_dim);
    } else if (r.delta_rule) {
        CarefulPairs<2, 1, false, false>{{s.q_rows, s.k_rows}, {s.k_columns}, {s.qk, s.ak}}.run(s, keys, r.key_dim);
        for (std::int64_t i = 0; i < chunk * chunk; ++i) s.ak[i] *= -s.beta[i / chunk];
    } else if (r.bonus) {
        CarefulPairs<1, 1, true, true>{{s.q_rows}, {s.k_columns}, {s.qk}}.run(s, keys, r.key_dim);
    } else {
        CarefulPairs<1, 1, false, false>{{s.q_rows}, {s.k_columns}, {s.qk}}.run(s, keys, r.key_dim);
    }
    for (float* const products : {s.qk, s.qb})
        for (std::int64_t i = 0; i < chunk * chunk; ++i) products[i] *= r.query_scale;
}

static void point_at(const float* buffer, std::int64_t keys, const float** rows) noexcept {
    for (std::int64_t t = 0; t < chunk; ++t) rows[t] = buffer + t * keys;
}

/// k_s / W_s, transposed: the decays until the chunk's end without all decays, given as 1 / W_C.
static void undecay_columns(const Unit& u, const float* const* rows, const float* inverse, float* columns) noexcept {
    transpose_rows(rows, u.padded_keys, columns);
    for (std::int64_t i = 0; i < u.padded_keys; ++i)
        for (std::int64_t t = 0; t < chunk; t += lanes) store(columns + i * chunk + t, load(columns + i * chunk + t) * inverse[i]);
}

/// Keeps the pairs with earlier rows, and with `own` the row itself.
static void keep_earlier(float* products, bool own) noexcept {
    for (std::int64_t g = 0; g < chunk; g += lanes) {
        const Vector lane = lane_numbers(g);
        for (std::int64_t t = 0; t < chunk; ++t) {
            const Vector limit = broadcast(static_cast<float>(t + own));
            store(products + t * chunk + g, lane < limit ? load(products + t * chunk + g) : Vector{});
        }
    }
}

/// sum over i of q_i u_i k_i.
static float bonus_product(const Recurrence& r, const float* q, const float* k) noexcept {
    const float* const bonus = r.bonus;
    Vector sums{};
    std::int64_t i = 0;
    for (; i + lanes <= r.key_dim; i += lanes) sums = fused(load(q + i) * load(bonus + i), load(k + i), sums);
    float total = sum(sums);
    for (; i < r.key_dim; ++i) total += q[i] * bonus[i] * k[i];
    return total * r.query_scale;
}

/// Everything but the values for a recurrence with one decay per dimension.
static void prepare_by_dimension(const Recurrence& r, const Unit& u, Scratch& s) noexcept {
    // A quotient of two products of decays within this range keeps all digits and cannot overflow.
    constexpr float least_decay = 1e-20f;
    const std::int64_t keys = u.padded_keys;
    Vector least = broadcast(1.0f);
    for (std::int64_t i = 0; i < keys; i += lanes) {
        const Vector total = decay_operands(r, s, i, keys);
        store(s.total_decay + i, total);
        least = minimum(total, least);
    }
    const bool careful = !(-largest(-least) >= least_decay);
    if (careful) pair_carefully(r, u, s);
    float bonus[chunk];
    for (std::int64_t t = 0; r.bonus && t < chunk; ++t) bonus[t] = bonus_product(r, s.q_rows[t], s.k_rows[t]);
    point_at(s.decayed_q, keys, s.q_rows), point_at(s.decayed_k, keys, s.k_rows), point_at(s.decayed_a, keys, s.a_rows), point_at(s.decayed_b, keys, s.b_rows);
    if (!careful) {
        for (std::int64_t i = 0; i < keys; i += lanes) store(s.inverse_decay + i, 1.0f / load(s.total_decay + i));
        undecay_columns(u, s.k_rows, s.inverse_decay, s.k_columns);
        if (r.a) undecay_columns(u, s.b_rows, s.inverse_decay, s.b_columns);
        multiply_rows(s.q_rows, s.k_columns, r.key_dim, s.qk);
        if (r.a || r.delta_rule) multiply_rows(s.a_rows, s.k_columns, r.key_dim, s.ak);
        if (r.a) multiply_rows(s.q_rows, s.b_columns, r.key_dim, s.qb), multiply_rows(s.a_rows, s.b_columns, r.key_dim, s.ab);
    }
    keep_earlier(s.qk, !r.bonus);
    if (r.a || r.delta_rule) keep_earlier(s.ak, false);
    if (r.a) keep_earlier(s.qb, true), keep_earlier(s.ab, false);
    for (std::int64_t t = 0; r.bonus && t < chunk; ++t) s.qk[t * chunk + t] = bonus[t];
    std::fill_n(s.q_factor, chunk, 1.0f), std::fill_n(s.a_factor, chunk, 1.0f), std::fill_n(s.until, chunk, 1.0f);
}

// ---- Values ----

/// Columns [c, c + V vectors) of z, or of v with z added where the delta rule makes one of both: a tile of rows takes the rows before it
/// as a product, and what its own rows owe each other in registers.
template <int V, bool Pairs>
static void solve(const Recurrence& r, const Unit& u, Scratch& s, std::int64_t c) noexcept {
    float* const z = (r.delta_rule ? s.v : s.z) + c;
    const float* const factors = r.delta_rule ? s.ak : s.ab;
    for (std::int64_t t = 0; t < chunk; t += tile_rows) {
        Vector sums[tile_rows][V] = {};
        if (Pairs) accumulate_words(sums, s.words.a + t * Words::keys, Words::keys, r.key_dim / 2, s.words.state + c, block);
        else accumulate(sums, s.a_rows + t, r.key_dim, u.state + c, u.state_stride);
        for (int j = 0; j < tile_rows; ++j)
            for (int i = 0; i < V; ++i) sums[j][i] = r.delta_rule ? fused(sums[j][i], broadcast(s.a_factor[t + j]), load(z + (t + j) * block + i * lanes)) : sums[j][i];
        if (r.a && Pairs) accumulate_words(sums, s.words.ak + t * Words::rows, Words::rows, (t + tile_rows) / 2, s.words.v + c, block);
        else if (r.a) accumulate(sums, s.ak + t * chunk, chunk, t + tile_rows, s.v + c, block);
        accumulate(sums, factors + t * chunk, chunk, t, z, block);
        for (int j = 1; j < tile_rows; ++j)
            for (int l = 0; l < j; ++l)
                for (int i = 0; i < V; ++i) sums[j][i] = fused(sums[l][i], broadcast(factors[(t + j) * chunk + t + l]), sums[j][i]);
        store_tile(sums, z + t * block, block);
    }
}

/// Columns [c, c + V vectors) of the outputs.
template <int V, bool Pairs>
static void mix(const Recurrence& r, const Unit& u, Scratch& s, std::int64_t c) noexcept {
    for (std::int64_t t = 0; t < chunk; t += tile_rows) {
        Vector sums[tile_rows][V] = {};
        if (Pairs) accumulate_words(sums, s.words.q + t * Words::keys, Words::keys, r.key_dim / 2, s.words.state + c, block);
        else accumulate(sums, s.q_rows + t, r.key_dim, u.state + c, u.state_stride);
        for (int j = 0; j < tile_rows; ++j)
            for (int i = 0; i < V; ++i) sums[j][i] *= s.q_factor[t + j];
        if (Pairs) accumulate_words(sums, s.words.qk + t * Words::rows, Words::rows, (t + tile_rows) / 2, s.words.v + c, block);
        else accumulate(sums, s.qk + t * chunk, chunk, t + tile_rows, s.v + c, block);
        if (r.a && Pairs) accumulate_words(sums, s.words.qb + t * Words::rows, Words::rows, (t + tile_rows) / 2, s.words.z + c, block);
        else if (r.a) accumulate(sums, s.qb + t * chunk, chunk, t + tile_rows, s.z + c, block);
        store_tile(sums, s.outputs + t * s.output_stride + c, s.output_stride);
    }
}

/// Rows [i, i + R) and columns [c, c + V vectors) of the state.
template <int R, int V, bool Pairs>
static void update(const Recurrence& r, const Unit& u, Scratch& s, std::int64_t i, std::int64_t c) noexcept {
    float* const state = u.state + i * u.state_stride + c;
    Vector sums[R][V];
    load_tile(sums, state, u.state_stride);
    for (int j = 0; j < R; ++j)
        for (int v = 0; v < V; ++v) sums[j][v] *= s.total_decay[i + j];
    if (Pairs) accumulate_outer_words(sums, s.words.k + i, most_key_dim, s.words.v + c);
    else accumulate_outer(sums, s.k_rows, i, s.v + c);
    if (r.a && Pairs) accumulate_outer_words(sums, s.words.b + i, most_key_dim, s.words.z + c);
    else if (r.a) accumulate_outer(sums, s.b_rows, i, s.z + c);
    store_tile(sums, state, u.state_stride);
    for (int j = 0; Pairs && j + 1 < R; j += 2)
        for (int v = 0; v < V; ++v) store(s.words.state + (i + j) / 2 * block + c + v * lanes, join_words(sums[j][v], sums[j + 1][v]));
}

/// Words of what does not depend on the values.
static void join_operands(const Recurrence& r, const Unit& u, Scratch& s) noexcept {
    for (std::int64_t t = 0; t < chunk; ++t) {
        join_neighbours(s.q_rows[t], u.padded_keys, s.words.q + t * Words::keys);
        if (r.delta_rule || r.a) join_neighbours(s.a_rows[t], u.padded_keys, s.words.a + t * Words::keys);
        join_neighbours(s.qk + t * chunk, chunk, s.words.qk + t * Words::rows);
        if (r.a) join_neighbours(s.qb + t * chunk, chunk, s.words.qb + t * Words::rows), join_neighbours(s.ak + t * chunk, chunk, s.words.ak + t * Words::rows);
    }
    for (std::int64_t t = 0; t < chunk; t += 2) {
        join_rows(s.k_rows[t], s.k_rows[t + 1], u.padded_keys, s.words.k + t / 2 * most_key_dim);
        if (r.a) join_rows(s.b_rows[t], s.b_rows[t + 1], u.padded_keys, s.words.b + t / 2 * most_key_dim);
    }
}

/// Words of `count` columns of the rows of v or z.
static void join_values(const float* values, std::int64_t count, float* words) noexcept {
    for (std::int64_t t = 0; t < chunk; t += 2) join_rows(values + t * block, values + (t + 1) * block, count, words + t / 2 * block);
}

/// Brings the next chunk's operands near, a row at a time between products. A head's columns lie a whole row of all heads apart,
/// usually pages, which no processor fetches ahead by itself; asked for all at once they would wait for each other.
class NextRows {
  public:
    NextRows(const Call& call, const Recurrence& r, const Unit& u, std::int64_t first, std::int64_t steps) noexcept
        : r_(r), u_(u), row_(first), end_(std::min(first + chunk, call.output.shape.rows())), rows_per_step_((chunk + steps - 1) / steps) {}

    void step() noexcept {
        for (std::int64_t i = 0; i < rows_per_step_ && row_ < end_; ++i, ++row_) {
            for (const HeadRows* operand : {&r_.q, &r_.k, &r_.a, &r_.b, &r_.log_decay})
                if (*operand) fetch(operand->row(row_), operand->dim);
            fetch(r_.v.row(row_) + u_.first_column, u_.columns);
            fetch(u_.output + row_ * u_.output_stride, u_.columns);
        }
    }

  private:
    static void fetch(const float* from, std::int64_t count) noexcept {
        for (std::int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i, 0, 2);
    }
    const Recurrence& r_;
    const Unit& u_;
    std::int64_t row_, end_, rows_per_step_;
};

template <int V, bool Pairs>
static void advance(const Recurrence& r, const Unit& u, Scratch& s, std::int64_t c, NextRows& next) noexcept {
    if (Pairs && !r.delta_rule) join_values(s.v + c, V * lanes, s.words.v + c);
    if (r.a || r.delta_rule) solve<V, Pairs>(r, u, s, c);
    if (Pairs && r.delta_rule) join_values(s.v + c, V * lanes, s.words.v + c);
    if (Pairs && r.a) join_values(s.z + c, V * lanes, s.words.z + c);
    mix<V, Pairs>(r, u, s, c);
    // From here on v stands for what is left of it at the chunk's end.
    const bool decays = r.log_decay && !by_dimension(r);
    for (std::int64_t t = 0; decays && t < chunk; ++t)
        for (int i = 0; i < V; ++i) store(s.v + t * block + c + i * lanes, load(s.v + t * block + c + i * lanes) * s.until[t]);
    if (Pairs && decays) join_values(s.v + c, V * lanes, s.words.v + c);
    std::int64_t i = 0;
    for (; i + tile_rows <= r.key_dim; i += tile_rows) update<tile_rows, V, Pairs>(r, u, s, i, c), next.step();
    for (; i < r.key_dim; ++i) update<1, V, Pairs>(r, u, s, i, c);
}

// Not inlined: with Pairs it has instructions that not every processor of its level has.
template <bool Pairs>
[[gnu::noinline]] static void advance_all(const Recurrence& r, const Unit& u, Scratch& s, NextRows& next) noexcept {
    constexpr std::int64_t together = vectors * lanes;
    std::int64_t c = 0;
    for (; c + together <= u.padded_columns; c += together) advance<vectors, Pairs>(r, u, s, c, next);
    for (; c < u.padded_columns; c += lanes) advance<1, Pairs>(r, u, s, c, next);
}

static void store_rows(const Recurrence& r, const Unit& u, std::int64_t first, std::int64_t count, const Scratch& s) noexcept {
    for (std::int64_t t = 0; t < count; ++t) {
        float* const y = u.output + (first + t) * u.output_stride;
        const float* const v = r.v.row(first + t) + u.first_column;
        const float skip = r.skip ? *r.skip : 0.0f;
        if (!r.skip) std::memcpy(y, s.y + t * block, static_cast<std::size_t>(u.columns) * sizeof(float));
        for (std::int64_t i = 0; r.skip && i < u.columns; ++i) y[i] = s.y[t * block + i] + skip * v[i];
    }
}

static void run_chunk(const Call& call, const Recurrence& r, const Unit& u, std::int64_t first, std::int64_t count, Scratch& s) noexcept {
    const bool in_place = count == chunk && !r.skip && u.columns == u.padded_columns;
    s.outputs = in_place ? u.output + first * u.output_stride : s.y, s.output_stride = in_place ? u.output_stride : block;
    load_rows(r, u, first, count, s);
    if (by_dimension(r)) prepare_by_dimension(r, u, s);
    else prepare_by_row(r, u, s);
    constexpr std::int64_t together = vectors * lanes;
    NextRows next(call, r, u, first + chunk, std::max<std::int64_t>(1, r.key_dim / tile_rows * (u.padded_columns / together + u.padded_columns % together / lanes)));
    if (r.bf16) join_operands(r, u, s), advance_all<true>(r, u, s, next);
    else advance_all<false>(r, u, s, next);
    if (!in_place) store_rows(r, u, first, count, s);
}

#include "ops/registry/recurrence_steps.h"

static void run_rows(const Call& call, const Recurrence& r, const Unit& u, std::int64_t first, std::int64_t count, std::int64_t least_rows, Scratch& s) noexcept {
    for (std::int64_t i = 0; r.bf16 && count >= least_rows && i < r.key_dim; i += 2)
        join_rows(u.state + i * u.state_stride, u.state + (i + 1) * u.state_stride, u.padded_columns, s.words.state + i / 2 * block);
    if (count >= least_rows)
        for (; count >= least_chunk_rows; first += chunk, count -= chunk) run_chunk(call, r, u, first, std::min(count, chunk), s);
    for (std::int64_t t = 0; t < count; ++t) run_row(r, u, first + t, s);
}

static void copy_state(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride, std::int64_t rows, std::int64_t columns) noexcept {
    for (std::int64_t i = 0; i < rows; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, static_cast<std::size_t>(columns) * sizeof(float));
}

/// One head and block of columns over all rows of the call, a run of rows of one sequence at a time.
static void run_unit(const Call& call, const Recurrence& all, std::int64_t head, std::int64_t first_column, std::int64_t columns, std::int64_t least_rows) noexcept {
    Scratch s;
    const Recurrence r = of_head(all, head);
    Unit u{first_column, std::min(columns, r.value_dim - first_column), 0, (r.key_dim + chunk - 1) / chunk * chunk, nullptr, r.value_dim,
           call.output.row_f32(0) + head * r.value_dim + first_column, call.output.row_stride_bytes / static_cast<std::int64_t>(sizeof(float))};
    u.padded_columns = (u.columns + lanes - 1) / lanes * lanes;
    const std::span<const std::int32_t> sequences = call.batch.sequences;
    const std::int64_t rows = call.output.shape.rows();
    for (std::int64_t first = 0; first < rows;) {
        const std::int32_t sequence = sequences[static_cast<std::size_t>(first)];
        std::int64_t end = first + 1;
        while (end < rows && sequences[static_cast<std::size_t>(end)] == sequence) ++end;
        float* const state = call.states[0].row_f32(0) + (sequence * r.heads + head) * r.key_dim * r.value_dim + first_column;
        const bool copied = u.padded_columns != u.columns;
        if (copied) std::fill_n(s.state, r.key_dim * block, 0.0f), copy_state(state, r.value_dim, s.state, block, r.key_dim, u.columns);
        u.state = copied ? s.state : state, u.state_stride = copied ? block : r.value_dim;
        run_rows(call, r, u, first, end - first, least_rows, s);
        if (copied) copy_state(s.state, block, state, r.value_dim, r.key_dim, u.columns);
        first = end;
    }
}

static void run(const Call& call, const Recurrence& r, std::int64_t least_rows) noexcept {
    const std::int64_t columns = least_rows == INT64_MAX ? step_block : block, blocks = (r.value_dim + columns - 1) / columns;
    call.pool->run(r.heads * blocks, [&](std::int64_t c, int) { run_unit(call, r, c / blocks, c % blocks * columns, columns, least_rows); });
}

}  // namespace tailor::ops::recurrence_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops {

namespace recurrence_kernels {
static constexpr cpu::PerIsa<RunRecurrence> run_at = TAILOR_EACH_ISA(run);
}
const cpu::PerIsa<RunRecurrence> run_recurrence = recurrence_kernels::run_at;

}  // namespace tailor::ops
#endif
