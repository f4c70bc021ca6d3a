// Weights in panels times rows of activations in 16-bit words: every level, for processors without byte products.
//
// Multiplying pairs of 16-bit integers into 32-bit sums (pmaddwd and its like, in every x86-64 since SSE2) is twice as fast
// as f32 multiply-add. The next 256 columns of a panel are unpacked once into a buffer of words, 8 KB in the first-level
// cache, with the zero of the codes taken off; tiles of a few rows of activations times sixteen rows of weights then keep
// their sums in registers. One row alone multiplies codes as they leave the registers, since memory is its limit. Integer
// sums are exact within a group of weights; scales are applied in f32 (activations.h).
#include <algorithm>
#include <bit>

#include "cpu/simd.h"
#include "formats/panels.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/word_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
namespace word_kernel {
using namespace cpu::TAILOR_ISA;
#include "ops/matmul/unpack_panel.h"

constexpr std::int64_t piece_values = formats::panel_unit, piece_blocks = piece_values / block_values, piece_groups = piece_values / 16;
constexpr std::int64_t panel_rows = formats::panel_rows, parts = panel_rows / lanes;
// Pairs of values per block; each pair of sixteen rows takes 64 bytes.
constexpr std::int64_t block_pairs = block_values / 2;
// How far ahead one row asks for codes: 9.4 GB/s on one core without, 14.5 with 2 KB for 4-bit codes at avx2.
constexpr std::int64_t prefetch_bytes = 2048;
// Rows whose sums are kept in cache while a panel passes: 8 KB.
constexpr std::int64_t most_rows = 128;
// Rows of a register tile. Sixteen registers hold twelve sums, two operands and a broadcast; four rows instead of six cost
// nothing for groups of 32 and a third for groups of 16 (avx2).
constexpr int tile_rows = lanes == 4 ? 2 : lanes == 8 ? 6 : 12;

/// 256 columns of a panel taken apart.
struct Piece {
    alignas(64) std::byte words[piece_blocks * block_pairs * panel_rows * 4];
    alignas(64) float scales[piece_groups * panel_rows * 2];
};

template <int bits, bool table>
static void unpack_piece(const std::byte* codes, std::int64_t blocks, Bytes numbers, int zero, std::byte* words) noexcept {
    const Words zeros = Words{} + static_cast<std::int16_t>(zero);
    for (std::int64_t b = 0; b < blocks; ++b, codes += bits * 4 * panel_rows)
        for (std::int64_t part = 0; part < parts; ++part) {
            std::byte* out = words + (b * block_pairs * panel_rows + part * lanes) * 4;
            for (int i = 0; i < 8; ++i) {
                Bytes word = unpack_word<bits>(codes + part * lanes * 4, i);
                if constexpr (table) word = look_up(numbers, word);
                store_bytes(out, (Bytes)((Words)even_bytes(word) - zeros)), out += panel_rows * 4;
                store_bytes(out, (Bytes)((Words)odd_bytes(word) - zeros)), out += panel_rows * 4;
            }
        }
}

template <int rows, int groups, bool minima>
static void multiply_tile(const Piece& piece, std::int64_t first_block, std::int64_t blocks, const Activations& x, std::int64_t first_row, float* sums) noexcept {
    constexpr std::int64_t pairs = block_pairs / groups, fields = minima ? 2 : 1;
    const std::int64_t all_rows = x.rows;
    const float *const all_scales = x.scales, *const all_sums = x.sums;
    const std::byte *words = piece.words, *const all_values = x.values;
    const float* scales = piece.scales;
    for (std::int64_t b = first_block; b < first_block + blocks; ++b) {
        const std::int64_t cell = b * all_rows + first_row;
        const std::byte* values = all_values + cell * 64;
        Vector block[rows][parts] = {};
        for (int g = 0; g < groups; ++g, values += pairs * 4, scales += panel_rows * fields) {
            Integers totals[rows][parts] = {};
            for (std::int64_t i = 0; i < pairs; ++i, words += panel_rows * 4) {
                Bytes w[parts];
                for (int part = 0; part < parts; ++part) w[part] = load_bytes(words + part * lanes * 4);
                for (int r = 0; r < rows; ++r) {
                    const Integers value = broadcast_word(values + r * 64 + i * 4);
                    for (int part = 0; part < parts; ++part) totals[r][part] = dot_words(totals[r][part], w[part], value);
                }
            }
            for (int r = 0; r < rows; ++r)
                for (int part = 0; part < parts; ++part) {
                    const Vector total = to_floats(totals[r][part]), scale = load(scales + part * lanes);
                    block[r][part] = g == 0 ? total * scale : fused(total, scale, block[r][part]);
                }
        }
        for (int r = 0; r < rows; ++r)
            for (int part = 0; part < parts; ++part) {
                float* const sum = sums + r * panel_rows + part * lanes;
                Vector total = fused(block[r][part], broadcast(all_scales[cell + r]), load(sum));
                if constexpr (minima)
                    for (int g = 0; g < groups; ++g) {
                        const Vector minimum = load(scales + (g - groups) * panel_rows * fields + panel_rows + part * lanes);
                        total = fused(minimum, broadcast(all_sums[(b * groups + g) * all_rows + first_row + r]), total);
                    }
                store(sum, total);
            }
    }
}

// One row against a whole panel. Its scales are expanded 256 values at a time.
template <int bits, bool table, int groups, bool minima>
static void multiply_row(const core::Tensor& w, const std::byte* panel, Bytes numbers, const Activations& x, float* sums) noexcept {
    constexpr int words = 8 / groups;
    alignas(64) float scales[piece_groups * panel_rows * 2];
    Vector sum[parts] = {}, minimum_sum[parts] = {};
    const std::byte *unit = panel, *codes = panel;
    for (std::int64_t b = 0; b < x.blocks; ++b, codes += bits * 4 * panel_rows) {
        for (int line = 0; line < bits; ++line) __builtin_prefetch(codes + prefetch_bytes + 64 * line);
        if (b % piece_blocks == 0) {
            const std::int64_t count = std::min(piece_values, (x.blocks - b) * block_values);
            expand_scales(*w.format, unit, count, scales);
            codes = unit + formats::unit_scale_bytes(*w.format, count);
            unit += formats::unit_bytes(*w.format, count);
        }
        const std::byte* const values = x.values + b * 64;
        const float* scale = scales + b % piece_blocks * groups * panel_rows * (minima ? 2 : 1);
        for (int g = 0; g < groups; ++g, scale += panel_rows * (minima ? 2 : 1)) {
            Integers even[parts], odd[parts] = {};
            for (Integers& total : even) total = Integers{} + x.corrections[b * groups + g];
            for (int i = g * words; i < (g + 1) * words; ++i) {
                const Integers even_values = broadcast_word(values + 8 * i), odd_values = broadcast_word(values + 8 * i + 4);
                for (std::int64_t part = 0; part < parts; ++part) {
                    Bytes word = unpack_word<bits>(codes + part * lanes * 4, i);
                    if constexpr (table) word = look_up(numbers, word);
                    even[part] = dot_words(even[part], even_bytes(word), even_values);
                    odd[part] = dot_words(odd[part], odd_bytes(word), odd_values);
                }
            }
            for (std::int64_t part = 0; part < parts; ++part) {
                sum[part] = fused(to_floats(even[part] + odd[part]), load(scale + part * lanes) * x.scales[b], sum[part]);
                if constexpr (minima)
                    minimum_sum[part] = fused(load(scale + panel_rows + part * lanes), broadcast(x.sums[b * groups + g]), minimum_sum[part]);
            }
        }
    }
    for (std::int64_t part = 0; part < parts; ++part) store(sums + part * lanes, sum[part] + minimum_sum[part]);
}

using MultiplyRow = void (*)(const core::Tensor&, const std::byte*, Bytes, const Activations&, float*) noexcept;

template <int bits, bool table>
static MultiplyRow choose_row(const formats::IntegerForm& form) noexcept {
    if (form.group == 16) return form.minima ? &multiply_row<bits, table, 2, true> : &multiply_row<bits, table, 2, false>;
    return form.minima ? &multiply_row<bits, table, 1, true> : &multiply_row<bits, table, 1, false>;
}
static MultiplyRow choose_row(const formats::IntegerForm& form) noexcept {
    switch (form.bits) {
        case 2: return choose_row<2, false>(form);
        case 3: return choose_row<3, false>(form);
        case 4: return form.table ? choose_row<4, true>(form) : choose_row<4, false>(form);
        case 5: return choose_row<5, false>(form);
        case 6: return choose_row<6, false>(form);
        default: return choose_row<8, false>(form);
    }
}

using Unpack = void (*)(const std::byte*, std::int64_t, Bytes, int, std::byte*) noexcept;
using Multiply = void (*)(const Piece&, std::int64_t, std::int64_t, const Activations&, std::int64_t, float*) noexcept;

static Unpack choose_unpack(const formats::IntegerForm& form) noexcept {
    switch (form.bits) {
        case 2: return &unpack_piece<2, false>;
        case 3: return &unpack_piece<3, false>;
        case 4: return form.table ? &unpack_piece<4, true> : &unpack_piece<4, false>;
        case 5: return &unpack_piece<5, false>;
        case 6: return &unpack_piece<6, false>;
        default: return &unpack_piece<8, false>;
    }
}
template <int rows>
static Multiply choose_multiply(const formats::IntegerForm& form) noexcept {
    if (form.group == 16) return form.minima ? &multiply_tile<rows, 2, true> : &multiply_tile<rows, 2, false>;
    return form.minima ? &multiply_tile<rows, 1, true> : &multiply_tile<rows, 1, false>;
}

/// What one call multiplies.
struct Product {
    const Call& call;
    Activations x;
    Unpack unpack;
    Multiply tile, last_rows;
    MultiplyRow only_row;
    Bytes numbers;
    int zero;
    std::int64_t panel_bytes;
};

static void multiply_panel(const Product& product, std::int64_t panel, std::int64_t first_row, std::int64_t rows) noexcept {
    alignas(64) float sums[most_rows * panel_rows];
    Piece piece;
    std::memset(sums, 0, static_cast<std::size_t>(rows * panel_rows) * 4);
    const core::Tensor& w = product.call.inputs[1];
    const std::byte* at = w.data + panel * product.panel_bytes;
    if (product.x.rows == 1) {
        product.only_row(w, at, product.numbers, product.x, sums);
        return write_panel_sums(product.call, panel, 0, 1, sums);
    }
    const std::int64_t k = w.shape.width();
    for (std::int64_t i = 0; i < k; i += piece_values) {
        const std::int64_t count = std::min(piece_values, k - i), blocks = count / block_values;
        expand_scales(*w.format, at, count, piece.scales);
        product.unpack(at + formats::unit_scale_bytes(*w.format, count), blocks, product.numbers, product.zero, piece.words);
        at += formats::unit_bytes(*w.format, count);
        std::int64_t r = 0;
        for (; r + tile_rows <= rows; r += tile_rows) product.tile(piece, i / block_values, blocks, product.x, first_row + r, sums + r * panel_rows);
        for (; r < rows; ++r) product.last_rows(piece, i / block_values, blocks, product.x, first_row + r, sums + r * panel_rows);
    }
    write_panel_sums(product.call, panel, first_row, rows, sums);
}

static void run(const Call& call) noexcept {
    const core::Tensor& w = call.inputs[1];
    const formats::IntegerForm& form = *w.format->integers;
    const std::int64_t rows = call.inputs[0].shape.rows(), k = w.shape.width(), panels = (w.shape[0] + panel_rows - 1) / panel_rows;
    const Product product{call,
                          quantize.at(call.isa)(call, ActivationKind::words, form.group == 16 ? 2 : 1, form.table ? 128 : form.zero),
                          choose_unpack(form),
                          choose_multiply<tile_rows>(form),
                          choose_multiply<1>(form),
                          choose_row(form),
                          form.table ? unsigned_table(form.table) : Bytes{},
                          form.table ? 128 : form.zero,
                          formats::panel_bytes(*w.format, k)};
    const PanelSchedule schedule = schedule_panels(rows, panels, k, product.panel_bytes, product.x.block_bytes(), most_rows);
    for_each_panel(*call.pool, schedule, panels, rows,
                   [&](std::int64_t panel, std::int64_t first_row, std::int64_t count) { multiply_panel(product, panel, first_row, count); });
}

}  // namespace word_kernel
}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
const cpu::PerIsa<Run> word_kernel = {{&base::word_kernel::run,
#if defined(__x86_64__)
                                       &avx2::word_kernel::run, &avx512::word_kernel::run
#endif
}};
}  // namespace tailor::ops::matmul_kernels
#endif
