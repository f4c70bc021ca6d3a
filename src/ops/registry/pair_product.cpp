// Products of bf16 pairs; see ops/pair_product.h.
//
// VDPBF16PS adds the products of two neighbours along the depth to each of sixteen sums. So a word holds two numbers of one row of A, or
// of one column of B, at depths 2 p and 2 p + 1. B is rounded once per call, by all threads, into panels [p][32 columns]. A unit of work
// is a range of rows of C: it rounds its rows of A, at most 1,024 of the depth at a time, into tiles [p][12 rows] that stay in the second-level
// cache, and all panels of B pass by. A tile of 12 x 32 sums takes 24 registers, two for B and one for a word of A in all lanes. Rounding
// is a small part of a product: each number of A meets n others, each of B meets m.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "cpu/simd.h"
#include "ops/pair_product.h"

#define TAILOR_THIS_FILE "ops/registry/pair_product.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::pair_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"
#include "ops/pairs.h"

constexpr int tile_rows = pair_tile_rows;
constexpr std::int64_t panel_columns = 2 * lanes, step = 2 * lanes;
// Words of A's tiles: 96 rows of 1,024 numbers are 192 KB of the 1 MB second-level cache.
constexpr std::int64_t block_depth = pair_block, most_rows = 8 * tile_rows;
// Numbers of a row decoded together, where B is in a format of blocks: whole blocks of every format, and units of panels.
constexpr std::int64_t piece = 256;

/// C's tile (=, or +=) sum over words p of a[p][rows] b[p][two vectors].
template <int rows, bool first>
static void multiply_tile(const float* a, const float* b, std::int64_t words, float* c, std::int64_t c_row) noexcept {
    Vector sums[rows][2];
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < 2; ++v) {
            // C is seldom in cache: asked for now, its lines are there when the sums are.
            if (first) __builtin_prefetch(c + r * c_row + v * lanes, 1);
            sums[r][v] = first ? Vector{} : load(c + r * c_row + v * lanes);
        }
    for (std::int64_t p = 0; p < words; ++p, a += rows, b += panel_columns) {
        const Vector b0 = load(b), b1 = load(b + lanes);
        for (int r = 0; r < rows; ++r) {
            const Vector word = broadcast_bits(a + r);
            sums[r][0] = add_pair_products(sums[r][0], b0, word);
            sums[r][1] = add_pair_products(sums[r][1], b1, word);
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < 2; ++v) store(c + r * c_row + v * lanes, sums[r][v]);
}

using Tile = void (*)(const float*, const float*, std::int64_t, float*, std::int64_t) noexcept;
template <int... heights>
static Tile tile_of(std::int64_t rows, bool first, std::integer_sequence<int, heights...>) noexcept {
    static constexpr Tile tiles[] = {&multiply_tile<heights + 1, true>...}, adding[] = {&multiply_tile<heights + 1, false>...};
    return (first ? tiles : adding)[rows - 1];
}

/// `count` numbers of `from`, zeros after them, as a vector.
static Vector load_part(const float* from, std::int64_t count) noexcept {
    if (count >= lanes) return load(from);
    float part[lanes] = {};
    if (count > 0) std::memcpy(part, from, static_cast<std::size_t>(count) * sizeof(float));
    return load(part);
}

/// Rows [0, height) of `rows`, each at rows + i * stride with `depth` numbers, as words [p][width of `out`], at most one vector of rows.
static void join_across(const float* rows, std::int64_t stride, std::int64_t height, std::int64_t depth, float* out, std::int64_t width) noexcept {
    for (std::int64_t p = 0; p < depth; p += step) {
        Vector square[lanes] = {};
        for (std::int64_t r = 0; r < height; ++r) {
            const float* const from = rows + r * stride + p;
            __builtin_prefetch(from + height * stride), __builtin_prefetch(from + height * stride + lanes);  // those of the next tile
            square[r] = join_neighbours(load_part(from, depth - p), load_part(from + lanes, depth - p - lanes));
        }
        transpose(square);
        const std::int64_t words = std::min<std::int64_t>(lanes, (depth - p + 1) / 2);
        float* const to = out + p / 2 * width;
        if (height == tile_rows && width == tile_rows)
            for (std::int64_t i = 0; i < words; ++i) std::memcpy(to + i * width, &square[i], tile_rows * sizeof(float));
        else
            for (std::int64_t i = 0; i < words; ++i) std::memcpy(to + i * width, &square[i], static_cast<std::size_t>(std::min<std::int64_t>(width, lanes)) * sizeof(float));
    }
}

/// The rows [begin, end) of A at depths [from, from + depth), which are neighbours in memory, as tiles of words [p][rows of a tile], one behind
/// the other.
static void round_rows(const Product& product, std::int64_t begin, std::int64_t end, std::int64_t from, std::int64_t depth, float* tiles) noexcept {
    for (std::int64_t r = begin; r < end; r += tile_rows) {
        const std::int64_t rows = std::min<std::int64_t>(tile_rows, end - r);
        join_across(product.a + r * product.a_row + from, product.a_row, rows, depth, tiles + (r - begin) * ((depth + 1) / 2), rows);
    }
}

/// Word `p` of all rows of A, which are neighbours in memory, as parts of the same tiles of a block of `depth` from `from` on.
static void round_column_pair(const Product& product, std::int64_t p, std::int64_t from, std::int64_t depth, std::int64_t tile_words, float* tiles) noexcept {
    const float *const even = product.a + (from + 2 * p) * product.a_depth, *const odd = 2 * p + 1 < depth ? even + product.a_depth : nullptr;
    for (std::int64_t r = 0; r < product.m; r += tile_rows) {
        const std::int64_t rows = std::min<std::int64_t>(tile_rows, product.m - r), within = product.m - r;  // a vector may reach into other tiles
        const Vector joined = join_pairs(load_part(even + r, within), odd ? load_part(odd + r, within) : Vector{});
        float* const out = tiles + r / tile_rows * tile_words + p * rows;
        if (rows == tile_rows) std::memcpy(out, &joined, tile_rows * sizeof(float));
        else std::memcpy(out, &joined, static_cast<std::size_t>(rows) * sizeof(float));
    }
}

/// Numbers [column, column + count) of a row of B, decoded to `buffer` unless they are f32 as they lie.
static const float* read_row(const core::Tensor& b, std::int64_t row, std::int64_t column, std::int64_t count, cpu::Isa isa, float* buffer) noexcept {
    if (b.layout == core::Layout::rows && b.format->values_per_block == 1 && b.format->bytes_per_block == 4) return b.row_f32(row) + column;
    read_product_row(b, row, column, count, isa, buffer);
    return buffer;
}

/// Columns [column, column + 32) of B as words [p][32]; the rest of an odd width is zero. B is [n, depth].
static void round_panel_transposed(const core::Tensor& b, std::int64_t column, cpu::Isa isa, float* out) noexcept {
    alignas(64) float rows[lanes * piece];
    const std::int64_t depth = b.shape.width();
    for (std::int64_t half = 0; half < 2; ++half)
        for (std::int64_t from = 0; from < depth; from += piece) {
            const std::int64_t first = column + half * lanes, height = std::clamp<std::int64_t>(b.shape.rows() - first, 0, lanes), count = std::min(piece, depth - from);
            for (std::int64_t r = 0; r < height; ++r)
                if (const float* const row = read_row(b, first + r, from, count, isa, rows + r * piece); row != rows + r * piece)
                    std::memcpy(rows + r * piece, row, static_cast<std::size_t>(count) * sizeof(float));
            join_across(rows, piece, height, count, out + from / 2 * panel_columns + half * lanes, panel_columns);
        }
}

/// Columns [begin, begin + n) of the rows `row` and row + 1 of B [depth, all columns] as word `p` of every panel.
static void round_row_pair(const core::Tensor& b, std::int64_t row, std::int64_t p, std::int64_t begin, std::int64_t n, std::int64_t panel_words, cpu::Isa isa, float* out) noexcept {
    alignas(64) float buffers[2][piece];
    for (std::int64_t from = 0; from < n; from += piece) {
        const std::int64_t count = std::min(piece, n - from);
        const float* const even = read_row(b, row, begin + from, count, isa, buffers[0]);
        const float* const odd = row + 1 < b.shape.rows() ? read_row(b, row + 1, begin + from, count, isa, buffers[1]) : nullptr;
        for (std::int64_t j = 0; j < (count + panel_columns - 1) / panel_columns * panel_columns; j += lanes) {
            float* const to = out + (from + j) / panel_columns * panel_words + p * panel_columns + j % panel_columns;
            store(to, join_pairs(load_part(even + j, count - j), odd ? load_part(odd + j, count - j) : Vector{}));
        }
    }
}

/// Rows [begin, end) of C, columns [column, column + columns) of at most a panel, for words that `tiles` and `panel` hold.
static void multiply_panel(const Product& product, std::int64_t begin, std::int64_t end, const float* tiles, std::int64_t tile_words, const float* panel, std::int64_t words, std::int64_t column,
                           std::int64_t columns, bool first) noexcept {
    constexpr auto heights = std::make_integer_sequence<int, tile_rows>();
    for (std::int64_t r = begin; r < end; r += tile_rows) {
        const std::int64_t rows = std::min<std::int64_t>(tile_rows, end - r);
        float* const c = product.c + r * product.c_row + column;
        const Tile tile = tile_of(rows, first, heights);
        if (columns >= panel_columns) {
            tile(tiles + (r - begin) / tile_rows * tile_words, panel, words, c, product.c_row);
            continue;
        }
        alignas(64) float edge[tile_rows * panel_columns] = {};
        for (std::int64_t i = 0; i < rows && !first; ++i) std::memcpy(edge + i * panel_columns, c + i * product.c_row, static_cast<std::size_t>(columns) * sizeof(float));
        tile(tiles + (r - begin) / tile_rows * tile_words, panel, words, edge, panel_columns);
        for (std::int64_t i = 0; i < rows; ++i) std::memcpy(c + i * product.c_row, edge + i * panel_columns, static_cast<std::size_t>(columns) * sizeof(float));
    }
}

/// What threads share: ten units or more, whose borders do not depend on how many threads there are.
static std::int64_t unit_rows(std::int64_t m) noexcept { return std::clamp<std::int64_t>(m / 10 / tile_rows * tile_rows, tile_rows, most_rows); }

/// Rows [begin, end) of C, columns [first, first + n), which are those of the panels.
static void multiply_rows(const PairProduct& work, std::int64_t begin, std::int64_t end, const float* panels, std::int64_t depth, std::int64_t first, std::int64_t n) noexcept {
    alignas(64) float tiles[most_rows * block_depth / 2];
    const Product& product = work.product;
    const std::int64_t panel_words = pair_panel_words(depth);
    for (std::int64_t from = 0; from < depth; from += block_depth) {
        const std::int64_t block = std::min(block_depth, depth - from);
        round_rows(product, begin, end, from, block, tiles);
        for (std::int64_t column = 0; column < n; column += panel_columns)
            multiply_panel(product, begin, end, tiles, (block + 1) / 2 * tile_rows, panels + column / panel_columns * panel_words + from / 2 * panel_columns, (block + 1) / 2, first + column, n - column, from == 0);
    }
    if (!work.bias) return;
    for (std::int64_t r = begin; r < end; ++r)
        for (std::int64_t j = first; j < first + n; ++j) product.c[r * product.c_row + j] += work.bias[j];
}

/// A's rows as they lie: columns [begin, end) of B are rounded to panels for the whole depth, and every unit rounds its rows of A.
static void multiply_stretch(const PairProduct& work, std::int64_t begin, std::int64_t end, std::int64_t depth, core::Pool& pool, cpu::Isa isa, float* panels) noexcept {
    const std::int64_t words = (depth + 1) / 2, panel_words = pair_panel_words(depth), m = work.product.m, n = end - begin;
    if (work.transposed) {
        pool.run((n + panel_columns - 1) / panel_columns, [&](std::int64_t j, int) { round_panel_transposed(work.product.b, begin + j * panel_columns, isa, panels + j * panel_words); });
    } else {
        const std::int64_t together = std::max<std::int64_t>(1, 8192 / n);  // about 64 KB of B
        pool.run((words + together - 1) / together, [&](std::int64_t u, int) {
            for (std::int64_t p = u * together; p < std::min(words, (u + 1) * together); ++p) round_row_pair(work.product.b, 2 * p, p, begin, n, panel_words, isa, panels);
        });
    }
    const std::int64_t rows = unit_rows(m);
    pool.run((m + rows - 1) / rows, [&](std::int64_t u, int) { multiply_rows(work, u * rows, std::min(m, (u + 1) * rows), panels, depth, begin, n); });
}

/// A transposed, as in gradients of weights, where m and n are small beside the depth: A and B are rounded together, row by row as memory
/// has them, a block of the depth at a time. Units that read strips of A's columns waited for memory a third of their time.
static void multiply_transposed(const PairProduct& work, std::int64_t depth, core::Pool& pool, cpu::Isa isa, float* tiles) noexcept {
    const Product& product = work.product;
    const std::int64_t m = product.m, n = product.b.shape.width(), stretch = pair_stretch(block_depth), rows = unit_rows(m);
    constexpr std::int64_t together = 16;  // words: some 100 KB of A and B
    float* const panels = tiles + (m + tile_rows - 1) / tile_rows * pair_tile_words(block_depth);
    for (std::int64_t from = 0; from < depth; from += block_depth) {
        const std::int64_t block = std::min(block_depth, depth - from), words = (block + 1) / 2, panel_words = pair_panel_words(block), tile_words = pair_tile_words(block);
        for (std::int64_t begin = 0; begin < n; begin += stretch) {
            const std::int64_t count = std::min(stretch, n - begin);
            pool.run((words + together - 1) / together, [&](std::int64_t u, int) {
                for (std::int64_t p = u * together; p < std::min(words, (u + 1) * together); ++p) {
                    round_row_pair(product.b, from + 2 * p, p, begin, count, panel_words, isa, panels);
                    if (begin == 0) round_column_pair(product, p, from, block, tile_words, tiles);
                }
            });
            // Strips of rows by halves of the columns: with few of either, strips alone leave a thread idle for up to a tenth of the time.
            const std::int64_t strips = (m + rows - 1) / rows, half = (count / 2 + panel_columns - 1) / panel_columns * panel_columns;
            pool.run(2 * strips, [&](std::int64_t u, int) {
                const std::int64_t r = u % strips * rows, columns_end = u < strips ? half : count;
                for (std::int64_t column = u < strips ? 0 : half; column < columns_end; column += panel_columns)
                    multiply_panel(product, r, std::min(m, r + rows), tiles + r / tile_rows * tile_words, tile_words, panels + column / panel_columns * panel_words, words, begin + column,
                                   count - column, from == 0);
            });
        }
    }
}

[[maybe_unused]] static void run(const PairProduct& work, core::Pool& pool, cpu::Isa isa, std::byte* scratch) noexcept {
    const core::Tensor& b = work.product.b;
    const std::int64_t n = work.transposed ? b.shape.rows() : b.shape.width(), depth = work.transposed ? b.shape.width() : b.shape.rows(), stretch = pair_stretch(depth);
    if (work.product.a_depth != 1) return multiply_transposed(work, depth, pool, isa, reinterpret_cast<float*>(scratch));
    for (std::int64_t begin = 0; begin < n; begin += stretch) multiply_stretch(work, begin, std::min(n, begin + stretch), depth, pool, isa, reinterpret_cast<float*>(scratch));
}

}  // namespace tailor::ops::pair_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops {

namespace pair_kernels {
static constexpr cpu::PerIsa<RunPairProduct> run_at = {{nullptr,
#if defined(__x86_64__)
                                                        nullptr, &avx512::run
#endif
}};
}  // namespace pair_kernels
const cpu::PerIsa<RunPairProduct> run_pair_product = pair_kernels::run_at;

std::int64_t pair_scratch_bytes(std::int64_t m, std::int64_t depth, std::int64_t n, bool transposed_a) {
    if (m < least_pair_rows) return 0;
    const std::int64_t block = transposed_a ? pair_block : depth, width = std::min(pair_stretch(block), n);
    const std::int64_t words = (width + pair_panel_columns - 1) / pair_panel_columns * pair_panel_words(block) +
                               (transposed_a ? (m + pair_tile_rows - 1) / pair_tile_rows * pair_tile_words(block) : 0);
    return words * static_cast<std::int64_t>(sizeof(float)) + 64;
}

std::string declines_pair_product(std::int64_t m, std::int64_t depth, std::int64_t n) {
    if (!cpu::has_avx512_bf16()) return "needs products of bf16 pairs (AVX512_BF16)";
    if (m < least_pair_rows || n < least_pair_rows || depth < least_pair_depth)
        return core::format("made for {} rows and columns and a depth of {} or more, here are {} x {} of depth {}", least_pair_rows, least_pair_depth, m, n, depth);
    return "";
}

}  // namespace tailor::ops
#endif
