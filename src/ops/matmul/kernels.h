// The kernels of matmul, each compiled once per instruction-set level; matmul.cpp lists them with their conditions.
#pragma once
#include "ops/op.h"

namespace tailor::ops::matmul_kernels {

/// Rows up to which `row_kernel` is used. Measured on a 2-core AVX-512 server: at 4 rows both kernels take the same time,
/// above it the panel's reuse of decoded weights wins.
inline constexpr std::int64_t few_rows = 4;

/// For a few rows of x: decodes each weight row once into cache and takes its dot product with every row of x.
extern const cpu::PerIsa<Run> row_kernel;
/// For many rows of x: decodes panels of weight rows and multiplies them in register tiles.
extern const cpu::PerIsa<Run> panel_kernel;

// The kernels for weights in panels (formats/panels.h).

/// Integer codes times activations in two signed bytes each (exact) or one (short); level avx512 only.
extern const cpu::PerIsa<Run> byte_kernel_exact, byte_kernel_short;
/// Integer codes times activations in 16-bit words.
extern const cpu::PerIsa<Run> word_kernel;
/// Integer codes times activations in one signed byte, for forms that fits_narrow() takes; for levels below avx512.
extern const cpu::PerIsa<Run> narrow_kernel;
/// Integer codes times their group scale as 16-bit words, times activations of 12 to 16 bits with a scale per 256 values, for
/// formats that fits_scaled() takes; wide: level avx512 only, the other: for levels below.
extern const cpu::PerIsa<Run> scaled_kernel, wide_scaled_kernel;
/// Any panels times activations, both in bf16 tiles, for k a multiple of 32: each number the sum of two bf16, 16 significant bits
/// (exact), or one (short); level amx only.
extern const cpu::PerIsa<Run> tile_kernel_exact, tile_kernel_short;
/// The same with tiles in memory, slow, for tests.
extern const cpu::PerIsa<Run> plain_tile_kernel_exact, plain_tile_kernel_short;
/// Bytes of scratch that any of these needs.
inline constexpr std::int64_t tile_scratch_bytes(std::int64_t rows, std::int64_t k) { return (rows + 15) / 16 * 16 * k * 4; }
/// Single values times activations in f32.
extern const cpu::PerIsa<Run> float_panel_kernel;

// What they add by design, as ops::Kernel::error states it, and the rows from which on they pay.

/// Rounding blocks of 32 activations to 16 bits: 2e-5 of a sum's size seen for normal numbers.
inline constexpr double word_error = 5e-5;
/// The same for 8 bits: 5e-3 for normal numbers, up to 1e-2 seen for the largest of a product's values.
inline constexpr double digit_error = 2e-2;
/// Rounding blocks of 256 activations to 9 bits and a sign, those of nf4: 2e-3 for normal numbers; the others have 12 to 15 bits.
inline constexpr double unit_error = 4e-3;
/// Rounding both factors to the sum of two bf16, 16 significant bits: 1e-5 seen for normal numbers.
inline constexpr double tile_error = 3e-5;
/// The same with one bf16, 8 significant bits: 2.5e-3 for normal numbers.
inline constexpr double short_tile_error = 5e-3;
/// At avx512 up to three rows wait for memory, and two digits come for nothing.
inline constexpr std::int64_t short_rows = 4;
/// Codes times scales go through the first-level cache, those of panel_words too, those of panel_bytes stay in registers. Measured on Zen 4:
/// with 8 rows scaled words are 4 % (q4_k) and 19 % (q6_k) ahead at avx2. At avx512, Zen 5: two tiles of twelve rows are 10 % (q4_k) to 16 % (q6_k) ahead of
/// bytes, 16 rows in smaller tiles 0 to 10 % behind.
inline constexpr std::int64_t least_scaled_rows = 8, least_wide_scaled_rows = 24;
/// Decoding a tile of weights takes about as long as the vector units' 16-bit products with that many rows; by counting cycles, not
/// measured.
inline constexpr std::int64_t least_tile_rows = 32, least_short_tile_rows = 16;

/// How far ahead of their use weights in panels are asked for. A first-level cache of 48 KB or more (measured on Zen 5): 4 KB, against 256 bytes 6 to
/// 16 % less time for one row, against 2 KB up to 4 % for one row, 10 % for four and 15 % for eight. A smaller one (Zen 4): one row passes in no time, and 2 KB ahead costs 15 % of 4-bit codes;
/// with more rows the processor, which looks some 300 instructions ahead, would meet each page unprepared: 8 rows of q4_k take a fifth less time than without.
struct Ahead {
    std::int64_t one_row, rows;  ///< bytes
    bool bytes_of_one_row;       ///< whether codes of 8 bits, a line for every word, are asked for at all if there is one row
};
const Ahead& ahead_of_use() noexcept;

/// How the work of such a kernel is cut.
struct PanelSchedule {
    std::int64_t rows_at_once;      ///< rows of x that pass a panel together, at most `most_rows`
    std::int64_t panels_per_chunk;  ///< of the pool's work
};
/// `block_bytes`: what 32 activations of one row take.
PanelSchedule schedule_panels(std::int64_t rows, std::int64_t panels, std::int64_t k, std::int64_t panel_bytes, std::int64_t block_bytes, std::int64_t most_rows) noexcept;
/// Calls multiply(panel, first_row, rows) for every panel with every stretch of rows, in parallel, as the schedule cuts them.
template <class Multiply>
void for_each_panel(core::Pool& pool, const PanelSchedule& schedule, std::int64_t panels, std::int64_t rows, const Multiply& multiply) {
    pool.run((panels + schedule.panels_per_chunk - 1) / schedule.panels_per_chunk, [&](std::int64_t c, int) {
        const std::int64_t first = c * schedule.panels_per_chunk, end = first + schedule.panels_per_chunk < panels ? first + schedule.panels_per_chunk : panels;
        for (std::int64_t r = 0; r < rows; r += schedule.rows_at_once)
            for (std::int64_t p = first; p < end; ++p) multiply(p, r, r + schedule.rows_at_once < rows ? schedule.rows_at_once : rows - r);
    });
}
/// Puts the sums [rows][16] of one panel, plus bias, in their places of the output.
void write_panel_sums(const Call& call, std::int64_t panel, std::int64_t first_row, std::int64_t rows, const float* sums) noexcept;

}  // namespace tailor::ops::matmul_kernels
