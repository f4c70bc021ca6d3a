// Matrix times many rows: y[r, j] = sum over i of x[r, i] * w[j, i], the work of a prompt.
//
// The weights are decoded once per call: 256 values of each of 64 weight rows become panels [256][two vectors], so that
// the inner loop broadcasts one x and fuses it into a register tile of rows x two vectors. The panels (64 KB) stay in the
// second-level cache while all rows of x pass by; partial sums live in y between the pieces of k. Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication", 2008, with the decoding in place of the packing.
#include <algorithm>
#include <cstring>

#include "cpu/simd.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/panel_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// Every format's block divides 256.
constexpr std::int64_t depth = 256;
// Weight rows per unit of work: one to eight panels, and enough units for two threads on a 128-row matrix.
constexpr std::int64_t chunk_columns = 64;
constexpr std::int64_t panel_columns = 2 * lanes;
// Rows of the register tile: 2 * tile_rows sums and two weight vectors fit the 32 (avx512) or 16 registers.
constexpr int tile_rows = lanes == 16 ? 12 : lanes == 8 ? 6 : 4;

// sums += x[0..Rows) * panel for one tile, reading and writing y ([Rows] rows of panel_columns values).
template <int Rows>
static void tile(const float* x, std::int64_t x_stride, const float* panel, std::int64_t count, float* y, std::int64_t y_stride, bool first) noexcept {
    Vector sums[Rows][2];
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < 2; ++v) sums[r][v] = first ? Vector{} : load(y + r * y_stride + v * lanes);
    for (std::int64_t i = 0; i < count; ++i) {
        const Vector w0 = load(panel + i * panel_columns), w1 = load(panel + i * panel_columns + lanes);
        for (int r = 0; r < Rows; ++r) {
            const Vector value = broadcast(x[r * x_stride + i]);
            sums[r][0] = fused(value, w0, sums[r][0]);
            sums[r][1] = fused(value, w1, sums[r][1]);
        }
    }
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < 2; ++v) store(y + r * y_stride + v * lanes, sums[r][v]);
}

using Tile = void (*)(const float*, std::int64_t, const float*, std::int64_t, float*, std::int64_t, bool) noexcept;

// tiles[n] handles n rows, so that the last rows of x cost no more than they are.
static Tile tile_for(std::int64_t rows) noexcept {
    static constexpr Tile tiles[] = {nullptr,  &tile<1>, &tile<2>, &tile<3>, &tile<4>,  &tile<5>, &tile<6>,
                                     &tile<7>, &tile<8>, &tile<9>, &tile<10>, &tile<11>, &tile<12>};
    return tiles[rows];
}

// Decodes w[begin .. end) x [i, i + count) into panels of panel_columns weight rows; missing rows become zeros.
static void decode_panels(const Call& call, std::int64_t begin, std::int64_t end, std::int64_t i, std::int64_t count, float* panels) noexcept {
    const core::Tensor& w = call.inputs[1];
    const formats::Decode decode = w.format->decode.at(call.isa);
    alignas(64) float row[depth];
    const std::int64_t padded_end = begin + (end - begin + panel_columns - 1) / panel_columns * panel_columns;
    for (std::int64_t j = begin; j < padded_end; ++j) {
        float* const panel = panels + (j - begin) / panel_columns * depth * panel_columns + (j - begin) % panel_columns;
        if (j < end) decode(w.row(j) + i / w.format->values_per_block * w.format->bytes_per_block, row, count);
        else if (j == end) std::memset(row, 0, sizeof row);
        for (std::int64_t v = 0; v < count; ++v) panel[v * panel_columns] = row[v];
    }
}

// All rows of x against one panel.
static void multiply_panel(const Call& call, const float* panel, std::int64_t column, std::int64_t i, std::int64_t count) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output;
    const std::int64_t rows = x.shape.rows(), n = y.shape.width(), columns = std::min(panel_columns, n - column);
    const std::int64_t x_stride = x.row_stride_bytes / 4, y_stride = y.row_stride_bytes / 4;
    for (std::int64_t r = 0; r < rows; r += tile_rows) {
        const std::int64_t height = std::min<std::int64_t>(tile_rows, rows - r);
        float* const target = y.row_f32(r) + column;
        if (columns == panel_columns) {
            tile_for(height)(x.row_f32(r) + i, x_stride, panel, count, target, y_stride, i == 0);
        } else {  // the last columns of an odd width go through a full-width buffer
            float edge[tile_rows * panel_columns] = {};
            for (std::int64_t t = 0; t < height && i != 0; ++t) std::memcpy(edge + t * panel_columns, target + t * y_stride, static_cast<std::size_t>(columns) * 4);
            tile_for(height)(x.row_f32(r) + i, x_stride, panel, count, edge, panel_columns, i == 0);
            for (std::int64_t t = 0; t < height; ++t) std::memcpy(target + t * y_stride, edge + t * panel_columns, static_cast<std::size_t>(columns) * 4);
        }
    }
}

static void multiply_columns(const Call& call, std::int64_t begin, std::int64_t end) noexcept {
    alignas(64) float panels[depth * chunk_columns];
    const std::int64_t k = call.inputs[0].shape.width();
    for (std::int64_t i = 0; i < k; i += depth) {
        const std::int64_t count = std::min(depth, k - i);
        decode_panels(call, begin, end, i, count, panels);
        for (std::int64_t column = begin; column < end; column += panel_columns) multiply_panel(call, panels + (column - begin) * depth, column, i, count);
    }
    if (const core::Tensor* const bias = call.input(2))
        for (std::int64_t r = 0; r < call.output.shape.rows(); ++r)
            for (std::int64_t j = begin; j < end; ++j) call.output.row_f32(r)[j] += bias->row_f32(0)[j];
}

static void run(const Call& call) noexcept {
    const std::int64_t n = call.inputs[1].shape[0];
    call.pool->run((n + chunk_columns - 1) / chunk_columns, [&](std::int64_t c, int) {
        multiply_columns(call, c * chunk_columns, std::min(n, (c + 1) * chunk_columns));
    });
}

}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
const cpu::PerIsa<Run> panel_kernel = TAILOR_EACH_ISA(run);
}
#endif
