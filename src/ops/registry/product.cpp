// The product kernel; see ops/product.h.
//
// A is laid out once as tiles [p][rows of a tile], a block of `block_depth` at a time, transposed or not: then the inner loop reads both
// operands in order. A unit of work is a range of columns of B. It copies (or decodes) `piece_depth` rows of these columns into panels
// [p][two vectors] in the second-level cache, and all tiles of A pass by: each number of B meets a broadcast of A in a register tile
// of rows x two vectors. Sums live in C between pieces. Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008.
#include <algorithm>
#include <cstring>
#include <utility>

#include "cpu/simd.h"
#include "formats/panels.h"
#include "ops/product.h"

#define TAILOR_THIS_FILE "ops/registry/product.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::product_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"

constexpr std::int64_t piece_depth = 256;
// A block of A in tiles: at 512 rows 2 MB, which the units of all threads read again and again.
constexpr std::int64_t block_depth = 1024;
// The widest unit: whole blocks of every format, and whole units of panels. B's piece then takes 256 KB.
constexpr std::int64_t most_columns = 256, least_columns = 64;
constexpr std::int64_t panel_columns = 2 * lanes;
// 2 * tile_rows sums, two vectors of B and a broadcast fit the 32 (avx512) or 16 registers.
constexpr int tile_rows = lanes == 16 ? 12 : lanes == 8 ? 6 : 4;

/// C's tile (=, or +=) sum over p of a[p][rows] b[p][two vectors].
template <int rows>
static void multiply_tile(const float* a, const float* b, std::int64_t count, float* c, std::int64_t c_row, bool first) noexcept {
    Vector sums[rows][2];
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < 2; ++v) sums[r][v] = first ? Vector{} : load(c + r * c_row + v * lanes);
    for (std::int64_t p = 0; p < count; ++p, a += rows, b += panel_columns) {
        const Vector b0 = load(b), b1 = load(b + lanes);
        for (int r = 0; r < rows; ++r) {
            const Vector value = broadcast(a[r]);
            sums[r][0] = fused(value, b0, sums[r][0]);
            sums[r][1] = fused(value, b1, sums[r][1]);
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < 2; ++v) store(c + r * c_row + v * lanes, sums[r][v]);
}

using Tile = void (*)(const float*, const float*, std::int64_t, float*, std::int64_t, bool) noexcept;
template <int... heights>
static Tile tile_of(std::int64_t rows, std::integer_sequence<int, heights...>) noexcept {
    static constexpr Tile tiles[] = {&multiply_tile<heights + 1>...};
    return tiles[rows - 1];
}
static Tile tile_for(std::int64_t rows) noexcept { return tile_of(rows, std::make_integer_sequence<int, tile_rows>()); }

/// Tile `t` of A for `count` values from p on, to [p][rows of the tile].
static void lay_out(const Product& product, std::int64_t t, std::int64_t p, std::int64_t count, float* out) noexcept {
    const std::int64_t first = t * tile_rows, rows = std::min<std::int64_t>(tile_rows, product.m - first);
    const float* const from = product.a + first * product.a_row + p * product.a_depth;
    if (product.a_row == 1) {
        for (std::int64_t i = 0; i < count; ++i) std::memcpy(out + i * rows, from + i * product.a_depth, static_cast<std::size_t>(rows) * sizeof(float));
        return;
    }
    // Whole tiles a square of vectors at a time: one number after the other took a sixth of a product's time.
    std::int64_t done = 0;
    for (; rows == tile_rows && done + lanes <= count; done += lanes) {
        Vector square[lanes] = {};
        for (int r = 0; r < tile_rows; ++r) square[r] = load(from + r * product.a_row + done);
        transpose(square);
        for (int i = 0; i < lanes; ++i) std::memcpy(out + (done + i) * tile_rows, &square[i], tile_rows * sizeof(float));
    }
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t i = done; i < count; ++i) out[i * rows + r] = from[r * product.a_row + i];
}

/// Rows [p, p + count) of B, columns [begin, end), to panels [panel][piece_depth][panel_columns]; missing columns become zeros.
static void read_panels(const Product& product, std::int64_t begin, std::int64_t end, std::int64_t p, std::int64_t count, cpu::Isa isa, float* panels) noexcept {
    const std::int64_t columns = end - begin, across = (columns + panel_columns - 1) / panel_columns;
    alignas(64) float row[most_columns + panel_columns] = {};
    const bool plain = product.b.layout == core::Layout::rows && product.b.format->bytes_per_block == 4 && product.b.format->values_per_block == 1 && columns % panel_columns == 0;
    for (std::int64_t i = 0; i < count && plain; ++i)
        for (std::int64_t j = 0; j < across; ++j)
            std::memcpy(panels + (j * piece_depth + i) * panel_columns, product.b.row_f32(p + i) + begin + j * panel_columns, static_cast<std::size_t>(panel_columns) * sizeof(float));
    for (std::int64_t i = 0; i < count && !plain; ++i) {
        read_product_row(product.b, p + i, begin, columns, isa, row);
        for (std::int64_t j = 0; j < across; ++j)
            std::memcpy(panels + (j * piece_depth + i) * panel_columns, row + j * panel_columns, static_cast<std::size_t>(panel_columns) * sizeof(float));
    }
}

/// All tiles of A against one panel. The last columns of an odd width go through a buffer.
static void multiply_panel(const Product& product, const float* a, std::int64_t a_tile, const float* panel, std::int64_t column, std::int64_t count, bool first) noexcept {
    const std::int64_t columns = std::min(panel_columns, product.b.shape.width() - column);
    for (std::int64_t r = 0; r < product.m; r += tile_rows) {
        const std::int64_t rows = std::min<std::int64_t>(tile_rows, product.m - r);
        const float* const tile = a + r / tile_rows * a_tile;
        float* const c = product.c + r * product.c_row + column;
        if (columns == panel_columns) {
            tile_for(rows)(tile, panel, count, c, product.c_row, first);
            continue;
        }
        float edge[tile_rows * panel_columns] = {};
        for (std::int64_t i = 0; i < rows && !first; ++i) std::memcpy(edge + i * panel_columns, c + i * product.c_row, static_cast<std::size_t>(columns) * sizeof(float));
        tile_for(rows)(tile, panel, count, edge, panel_columns, first);
        for (std::int64_t i = 0; i < rows; ++i) std::memcpy(c + i * product.c_row, edge + i * panel_columns, static_cast<std::size_t>(columns) * sizeof(float));
    }
}

/// Columns [begin, end) of C, for `depth` values from `from` on; A's tiles stand at `a`, whole ones `a_tile` numbers apart.
static void multiply_columns(const Product& product, const float* a, std::int64_t from, std::int64_t depth, std::int64_t begin, std::int64_t end, cpu::Isa isa) noexcept {
    alignas(64) float panels[piece_depth * most_columns];
    for (std::int64_t p = 0; p < depth; p += piece_depth) {
        const std::int64_t count = std::min(piece_depth, depth - p);
        read_panels(product, begin, end, from + p, count, isa, panels);
        // Pieces of A stand one behind the other, so that a piece of the whole tile height is at a multiple of its rows.
        const float* const piece = a + p * product.m;
        for (std::int64_t column = begin; column < end; column += panel_columns)
            multiply_panel(product, piece, count * tile_rows, panels + (column - begin) * piece_depth, column, count, from + p == 0);
    }
}

static void run(const Product& product, core::Pool& pool, cpu::Isa isa, std::byte* scratch) noexcept {
    auto* const a = reinterpret_cast<float*>(scratch);
    const std::int64_t n = product.b.shape.width(), depth = product.b.shape.rows(), tiles = (product.m + tile_rows - 1) / tile_rows;
    const bool single = product.b.layout == core::Layout::rows && product.b.format->values_per_block <= least_columns;
    const std::int64_t columns = single ? least_columns : most_columns;
    for (std::int64_t from = 0; from < depth; from += block_depth) {
        const std::int64_t block = std::min(block_depth, depth - from);
        pool.run(tiles, [&](std::int64_t t, int) {
            for (std::int64_t p = 0; p < block; p += piece_depth) {
                const std::int64_t count = std::min(piece_depth, block - p);
                lay_out(product, t, from + p, count, a + p * product.m + t * tile_rows * count);
            }
        });
        pool.run((n + columns - 1) / columns, [&](std::int64_t u, int) { multiply_columns(product, a, from, block, u * columns, std::min(n, (u + 1) * columns), isa); });
    }
}

}  // namespace tailor::ops::product_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops {

namespace product_kernels {
static constexpr cpu::PerIsa<RunProduct> run_at = TAILOR_EACH_ISA(run);
}
const cpu::PerIsa<RunProduct> run_product = product_kernels::run_at;

void read_product_row(const core::Tensor& b, std::int64_t row, std::int64_t column, std::int64_t count, cpu::Isa isa, float* out) noexcept {
    const formats::Format& format = *b.format;
    if (b.layout == core::Layout::rows) {
        format.decode.at(isa)(b.row(row) + column / format.values_per_block * format.bytes_per_block, out, count);
        return;
    }
    const std::byte* const panel = b.data + row / formats::panel_rows * formats::panel_bytes(format, b.shape.width());
    const std::int64_t before = format.integers ? column / formats::panel_unit * formats::unit_bytes(format, formats::panel_unit) : column * formats::panel_rows * format.bytes_per_block;
    formats::decode_panel_row(format, panel + before, row % formats::panel_rows, count, out);
}

std::int64_t product_scratch_bytes(std::int64_t m, std::int64_t depth) {
    return m * std::min(product_kernels::base::block_depth, depth) * static_cast<std::int64_t>(sizeof(float)) + 64;
}

}  // namespace tailor::ops
#endif
