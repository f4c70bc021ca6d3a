// Products of pairs of bf16 numbers for the chunks of linear recurrences: twice as many a second as in f32, with 8 bits of precision.
//
// A word holds two neighbours along the direction of summation: two keys of a row of q, two rows of k or v, two keys of the state. The
// instruction VDPBF16PS adds both products of a word to an f32 sum. The state itself stays in f32; what the products read of it is
// rounded anew when a chunk has updated it. Decays, the products of pairs of rows and the triangular system stay in f32.
//
// Included by recurrence.cpp inside each instruction-set level's namespace under that level's target, after its buffers; hence no include
// guard and no includes. Compiled at every level, run where the processor has the instruction.

/// What the products read, as words of two bf16 numbers. Rows of words stand as far apart as there may be words.
struct Words {
    static constexpr std::int64_t keys = most_key_dim / 2, rows = chunk / 2;
    alignas(64) float q[chunk * keys], a[chunk * keys];  // [row][pair of keys]
    alignas(64) float k[rows * most_key_dim], b[rows * most_key_dim];  // [pair of rows][key]
    alignas(64) float qk[chunk * rows], qb[chunk * rows], ak[chunk * rows];  // [row][pair of rows]
    alignas(64) float v[rows * block], z[rows * block];  // [pair of rows][column]
    alignas(64) float state[keys * block];               // [pair of keys][column]
};

/// Words of `low` and `high`, rounded to the nearest bf16.
[[gnu::always_inline]] inline Vector join_words(Vector low, Vector high) {
    Unsigned first, second;
    std::memcpy(&first, &low, sizeof first), std::memcpy(&second, &high, sizeof second);
    const Unsigned words = ((first + 0x8000u) >> 16) | ((second + 0x8000u) & 0xFFFF0000u);
    Vector result;
    std::memcpy(&result, &words, sizeof result);
    return result;
}

/// Lanes First, First + 2, ... of both vectors.
template <int First, int... L>
[[gnu::always_inline]] inline Vector every_other(Vector a, Vector b, std::integer_sequence<int, L...>) { return __builtin_shufflevector(a, b, (2 * L + First)...); }

/// Neighbours within a row of `count` numbers, a multiple of 16, as words.
static void join_neighbours(const float* row, std::int64_t count, float* words) noexcept {
    constexpr auto each = std::make_integer_sequence<int, lanes>{};
    for (std::int64_t i = 0; i < count; i += 2 * lanes) {
        const bool whole = i + lanes < count;
        const Vector a = load(row + i), b = whole ? load(row + i + lanes) : Vector{};
        const Vector joined = join_words(every_other<0>(a, b, each), every_other<1>(a, b, each));
        std::memcpy(words + i / 2, &joined, whole ? sizeof joined : sizeof joined / 2);
    }
}

/// Numbers of neighbouring rows as words.
static void join_rows(const float* even, const float* odd, std::int64_t count, float* words) noexcept {
    for (std::int64_t i = 0; i < count; i += lanes) store(words + i, join_words(load(even + i), load(odd + i)));
}

#include "ops/pair_sums.h"

/// sums[r][v] += sum over pairs of left[r * left_stride + pair] and right[pair * stride + v * lanes ...].
template <int R, int V>
[[gnu::always_inline]] inline void accumulate_words(Vector (&sums)[R][V], const float* left, std::int64_t left_stride, std::int64_t depth, const float* right, std::int64_t stride) noexcept {
    for (std::int64_t d = 0; d < depth; ++d, right += stride) {
        Vector x[V];
        for (int v = 0; v < V; ++v) x[v] = load(right + v * lanes);
        for (int r = 0; r < R; ++r) {
            const Vector factor = broadcast_bits(left + r * left_stride + d);
            for (int v = 0; v < V; ++v) sums[r][v] = add_pair_products(sums[r][v], x[v], factor);
        }
    }
}

/// The same with left[pair * left_stride + r].
template <int R, int V>
[[gnu::always_inline]] inline void accumulate_outer_words(Vector (&sums)[R][V], const float* left, std::int64_t left_stride, const float* right) noexcept {
    for (std::int64_t d = 0; d < Words::rows; ++d, left += left_stride, right += block) {
        Vector x[V];
        for (int v = 0; v < V; ++v) x[v] = load(right + v * lanes);
        for (int r = 0; r < R; ++r) {
            const Vector factor = broadcast_bits(left + r);
            for (int v = 0; v < V; ++v) sums[r][v] = add_pair_products(sums[r][v], x[v], factor);
        }
    }
}
