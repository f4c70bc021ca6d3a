// Weights in panels times rows of activations in f32: formats of single values (f32, f16, bf16 and their like).
//
// A panel holds sixteen weight rows value by value, [k][16], so the weights of one k fill a register and each activation is
// one broadcast. Rows of x are first laid side by side, [k][rows of a tile], so that both operands are read in order; with
// rows 8 KB apart their lines would share a few sets of the cache and push each other out. Rows that fit one tile take the
// weights as they lie and turn f16 and bf16 into f32 in registers: a buffer between would cost more than the conversion. With more
// tiles, formats other than f32 are decoded 256 columns at a time into 16 KB that all tiles use.
#include <algorithm>

#include "cpu/simd.h"
#include "formats/panels.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/float_panel_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
namespace float_panel_kernel {
using namespace cpu::TAILOR_ISA;

constexpr std::int64_t panel_rows = formats::panel_rows, parts = panel_rows / lanes;
constexpr std::int64_t piece_values = 256;
constexpr std::int64_t most_rows = 128;
// Rows of a register tile: their sums, a register of weights per part and a broadcast fit the 16 (or 32) registers.
// GCC 12 unrolls loops of up to sixteen rounds: with 24 rows at avx512 the sums stayed in memory, and a third of the speed was gone.
constexpr int tile_rows = lanes == 4 ? 3 : lanes == 8 ? 6 : 16;

#include "ops/stored_numbers.h"

// x is [count][rows], w [count][16], sums [rows][16]; weights are asked for `ahead_bytes` ahead of their use.
template <class Stored, int rows>
static void multiply_tile(const float* x, const std::byte* w, std::int64_t ahead_bytes, std::int64_t count, float* sums) noexcept {
    Vector total[rows][parts];
    for (int r = 0; r < rows; ++r)
        for (int part = 0; part < parts; ++part) total[r][part] = load(sums + r * panel_rows + part * lanes);
    for (std::int64_t i = 0; i < count; ++i, x += rows, w += panel_rows * Stored::bytes) {
        __builtin_prefetch(w + ahead_bytes);
        Vector weights[parts];
        for (int part = 0; part < parts; ++part) weights[part] = Stored::values(w + part * lanes * Stored::bytes);
        for (int r = 0; r < rows; ++r) {
            const Vector value = broadcast(x[r]);
            for (int part = 0; part < parts; ++part) total[r][part] = fused(value, weights[part], total[r][part]);
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int part = 0; part < parts; ++part) store(sums + r * panel_rows + part * lanes, total[r][part]);
}

// The same for one row: four sums per part, since one would wait for each addition before the next.
template <class Stored>
static void multiply_row(const float* x, const std::byte* w, std::int64_t ahead_bytes, std::int64_t count, float* sums) noexcept {
    constexpr std::int64_t column_bytes = panel_rows * Stored::bytes;
    Vector total[4][parts] = {};
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4, w += 4 * column_bytes) {
        for (std::int64_t line = 0; line < 4 * column_bytes; line += 64) __builtin_prefetch(w + ahead_bytes + line);
        for (int step = 0; step < 4; ++step)
            for (int part = 0; part < parts; ++part)
                total[step][part] = fused(broadcast(x[i + step]), Stored::values(w + step * column_bytes + part * lanes * Stored::bytes), total[step][part]);
    }
    for (; i < count; ++i, w += column_bytes)
        for (int part = 0; part < parts; ++part) total[0][part] = fused(broadcast(x[i]), Stored::values(w + part * lanes * Stored::bytes), total[0][part]);
    for (int part = 0; part < parts; ++part) {
        float* const sum = sums + part * lanes;
        store(sum, load(sum) + ((total[0][part] + total[1][part]) + (total[2][part] + total[3][part])));
    }
}

using Tile = void (*)(const float*, const std::byte*, std::int64_t, std::int64_t, float*) noexcept;
template <class Stored, int... heights>
static Tile tile_of(std::int64_t rows, std::integer_sequence<int, heights...>) noexcept {
    static constexpr Tile tiles[] = {&multiply_tile<Stored, heights + 1>...};
    return rows == 1 ? &multiply_row<Stored> : tiles[rows - 1];
}
template <class Stored>
static Tile tile_for(std::int64_t rows) noexcept { return tile_of<Stored>(rows, std::make_integer_sequence<int, tile_rows>()); }

// The tile that takes weights of this format as they lie; null if there is none.
static Tile tile_in_place(const formats::Format& format, std::int64_t rows) noexcept {
    if (rows > tile_rows) return nullptr;
    return format.name == "f32" ? tile_for<Floats>(rows) : format.name == "f16" ? tile_for<Halves>(rows) : format.name == "bf16" ? tile_for<UpperHalves>(rows) : nullptr;
}

// Rows of x as tiles [k][rows of the tile], one tile after the other, in call.scratch. One row is already such a tile.
static const float* lay_side_by_side(const Call& call) noexcept {
    const core::Tensor& x = call.inputs[0];
    const std::int64_t rows = x.shape.rows(), k = x.shape.width();
    if (rows == 1) return x.row_f32(0);
    auto* const out = reinterpret_cast<float*>(call.scratch);
    call.pool->run((rows + tile_rows - 1) / tile_rows, [&](std::int64_t t, int) {
        const std::int64_t first = t * tile_rows, height = std::min<std::int64_t>(tile_rows, rows - first);
        float* const tile = out + first * k;
        for (std::int64_t r = 0; r < height; ++r) {
            const float* const row = x.row_f32(first + r);
            for (std::int64_t i = 0; i < k; ++i) tile[i * height + r] = row[i];
        }
    });
    return out;
}

static void multiply_panel(const Call& call, const float* x, std::int64_t panel, std::int64_t first_row, std::int64_t rows) noexcept {
    alignas(64) float sums[most_rows * panel_rows], decoded[piece_values * panel_rows];
    std::memset(sums, 0, static_cast<std::size_t>(rows * panel_rows) * 4);
    const core::Tensor& w = call.inputs[1];
    const std::int64_t k = w.shape.width(), all_rows = call.inputs[0].shape.rows();
    const std::byte* at = w.data + panel * formats::panel_bytes(*w.format, k);
    if (const Tile tile = tile_in_place(*w.format, all_rows)) {
        tile(x, at, ahead_of_use().rows, k, sums);
        return write_panel_sums(call, panel, 0, rows, sums);
    }
    const bool floats = w.format->bytes_per_block == 4;
    const std::int64_t ahead_bytes = ahead_of_use().rows;
    for (std::int64_t i = 0; i < k; i += piece_values) {
        const std::int64_t count = std::min(piece_values, k - i);
        if (!floats) w.format->decode.at(call.isa)(at, decoded, count * panel_rows);
        for (std::int64_t r = 0; r < rows; r += tile_rows) {
            const std::int64_t height = std::min<std::int64_t>(tile_rows, all_rows - first_row - r);
            tile_for<Floats>(height)(x + (first_row + r) * k + i * height, floats ? at : reinterpret_cast<const std::byte*>(decoded), ahead_bytes, count, sums + r * panel_rows);
        }
        at += count * panel_rows * w.format->bytes_per_block;
    }
    write_panel_sums(call, panel, first_row, rows, sums);
}

static void run(const Call& call) noexcept {
    const core::Tensor& w = call.inputs[1];
    const std::int64_t rows = call.inputs[0].shape.rows(), k = w.shape.width(), panels = (w.shape[0] + panel_rows - 1) / panel_rows;
    const float* const x = lay_side_by_side(call);
    PanelSchedule schedule = schedule_panels(rows, panels, k, formats::panel_bytes(*w.format, k), 4 * 32, most_rows);
    schedule.rows_at_once = std::max<std::int64_t>(schedule.rows_at_once / tile_rows, 1) * tile_rows;
    for_each_panel(*call.pool, schedule, panels, rows,
                   [&](std::int64_t panel, std::int64_t first_row, std::int64_t count) { multiply_panel(call, x, panel, first_row, count); });
}

}  // namespace float_panel_kernel
}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
const cpu::PerIsa<Run> float_panel_kernel = {{&base::float_panel_kernel::run,
#if defined(__x86_64__)
                                              &avx2::float_panel_kernel::run, &avx512::float_panel_kernel::run
#endif
}};
}  // namespace tailor::ops::matmul_kernels
#endif
