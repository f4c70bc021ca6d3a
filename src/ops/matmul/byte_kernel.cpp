// Weights in panels times rows of activations in signed bytes: AVX-512 VNNI.
//
// A panel's next 32 columns are unpacked into eight registers, four codes of sixteen rows each, and multiplied there with
// every row of x before the next 32 are touched: weights stand still, activations pass by. So unpacking costs the same for
// one row or a hundred, no decoded weight is ever stored, and one product instruction reads its four activations as a
// broadcast from cache. Integer sums are exact within a group of weights; then scale and add in f32:
//     y[r, j] += (activation scale[r] * weight scale[j]) * sum  +  minimum[j] * (sum of activations)[r]
// One row runs at the speed of memory; many rows are cut so that their activations stay in the second-level cache.
#include <algorithm>
#include <bit>

#include "cpu/simd.h"
#include "formats/panels.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/byte_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
namespace byte_kernel {
using namespace cpu::TAILOR_ISA;
#include "ops/matmul/unpack_panel.h"

// Columns whose scales are expanded at a time: with groups of 16 they take 8 KB, and as much for minima.
constexpr std::int64_t piece_values = 2048;
constexpr std::int64_t piece_groups = piece_values / 16;
// How far ahead codes are asked for. One row on one core: 5 % faster than none for 4-bit codes; 2 KB, which the slower word
// kernel wants, costs 15 %.
constexpr std::int64_t prefetch_bytes = 256;
// Rows whose sums are kept in cache while a panel passes: 8 KB.
constexpr std::int64_t most_rows = 128;

/// A piece of a panel and the rows it meets.
struct Piece {
    const std::byte* codes;  ///< of its first value
    const float* scales;     ///< as expand_scales() writes them
    Bytes table;
    std::int64_t first_block, blocks;
    std::int64_t first_row, rows;
    float* sums;  ///< [rows][16], added to
};

// What one block of 32 values adds to the integer sum of one group: `words` registers of codes times their activations. Two
// chains of additions per digit, so that products do not wait for one another.
template <int words, int digits>
[[gnu::always_inline]] inline Integers multiply_group(const Bytes* w, const std::byte* values, std::int32_t correction) {
    Integers low[2] = {Integers{} + correction, Integers{}};
    if constexpr (digits == 1) {
        for (int i = 0; i < words; ++i) low[i % 2] = dot_bytes(low[i % 2], w[i], broadcast_word(values + 4 * i));
        return low[0] + low[1];
    }
    Integers high[2] = {};
    for (int i = 0; i < words; ++i) {
        high[i % 2] = dot_bytes(high[i % 2], w[i], broadcast_word(values + 4 * i));
        low[i % 2] = dot_bytes(low[i % 2], w[i], broadcast_word(values + 32 + 4 * i));
    }
    return ((high[0] + high[1]) << 8) + (low[0] + low[1]);
}

template <int bits, bool table, int groups, bool minima, int digits>
static void multiply_piece(const Piece& p, const Activations& x) noexcept {
    constexpr int words = 8 / groups;
    // Copies: the sums could be anything to the compiler, which would read these again after each store.
    const std::int64_t rows = p.rows, blocks = p.blocks, all_rows = x.rows;
    const std::int64_t first_cell = p.first_block * all_rows + p.first_row, first_place = p.first_block * groups * all_rows + p.first_row;
    const std::byte *codes = p.codes, *const all_values = x.values + first_cell * 32 * digits;
    const float *const all_scales = x.scales + first_cell, *const all_sums = x.sums + first_place, *const weight_scales = p.scales;
    const std::int32_t* const corrections = x.corrections + first_place;
    float* const sums = p.sums;
    const Bytes numbers = p.table;
    Vector first_sum = {}, first_minimum = {};
    for (std::int64_t b = 0; b < blocks; ++b, codes += bits * 64) {
        for (int line = 0; line < bits; ++line) __builtin_prefetch(codes + prefetch_bytes + 64 * line);
        Bytes w[8];
        for (int i = 0; i < 8; ++i) w[i] = table ? look_up(numbers, unpack_word<bits>(codes, i)) : unpack_word<bits>(codes, i);
        Vector scale[groups], minimum[groups];
        for (int g = 0; g < groups; ++g) {
            const float* const at = weight_scales + (b * groups + g) * (minima ? 32 : 16);
            scale[g] = load(at);
            if constexpr (minima) minimum[g] = load(at + 16);
        }
        if (rows == 1) {  // the sums stay in registers
            const std::byte* const values = all_values + b * all_rows * 32 * digits;
            for (int g = 0; g < groups; ++g) {
                const std::int64_t place = (b * groups + g) * all_rows;
                const Integers total = multiply_group<words, digits>(w + g * words, values + g * words * 4, corrections[place]);
                first_sum = fused(to_floats(total), scale[g] * all_scales[b * all_rows], first_sum);
                if constexpr (minima) first_minimum = fused(minimum[g], broadcast(all_sums[place]), first_minimum);
            }
            continue;
        }
        const std::byte* values = all_values + b * all_rows * 32 * digits;
        for (std::int64_t r = 0; r < rows; ++r, values += 32 * digits) {
            Vector sum = load(sums + r * 16);
            for (int g = 0; g < groups; ++g) {
                const std::int64_t place = (b * groups + g) * all_rows + r;
                const Integers total = multiply_group<words, digits>(w + g * words, values + g * words * 4, corrections[place]);
                sum = fused(to_floats(total), scale[g] * all_scales[b * all_rows + r], sum);
                if constexpr (minima) sum = fused(minimum[g], broadcast(all_sums[place]), sum);
            }
            store(sums + r * 16, sum);
        }
    }
    if (rows == 1) store(sums, load(sums) + (first_sum + first_minimum));
}

using MultiplyPiece = void (*)(const Piece&, const Activations&) noexcept;

template <int bits, bool table, int groups, bool minima>
static MultiplyPiece choose(bool one_digit) noexcept {
    return one_digit ? &multiply_piece<bits, table, groups, minima, 1> : &multiply_piece<bits, table, groups, minima, 2>;
}
template <int bits, bool table>
static MultiplyPiece choose(const formats::IntegerForm& form, bool one_digit) noexcept {
    if (form.group == 16) return form.minima ? choose<bits, table, 2, true>(one_digit) : choose<bits, table, 2, false>(one_digit);
    return form.minima ? choose<bits, table, 1, true>(one_digit) : choose<bits, table, 1, false>(one_digit);
}
static MultiplyPiece choose(const formats::IntegerForm& form, bool one_digit) noexcept {
    switch (form.bits) {
        case 2: return choose<2, false>(form, one_digit);
        case 3: return choose<3, false>(form, one_digit);
        case 4: return form.table ? choose<4, true>(form, one_digit) : choose<4, false>(form, one_digit);
        case 5: return choose<5, false>(form, one_digit);
        case 6: return choose<6, false>(form, one_digit);
        default: return choose<8, false>(form, one_digit);
    }
}

/// What one call multiplies.
struct Product {
    const Call& call;
    Activations x;
    MultiplyPiece multiply;
    Bytes table;
    std::int64_t panel_bytes, codes_offset;
};

static void multiply_panel(const Product& product, std::int64_t panel, std::int64_t first_row, std::int64_t rows) noexcept {
    alignas(64) float sums[most_rows * 16], scales[piece_groups * 32];
    std::memset(sums, 0, static_cast<std::size_t>(rows) * 64);
    const core::Tensor& w = product.call.inputs[1];
    const std::byte* const at = w.data + panel * product.panel_bytes;
    const std::int64_t k = w.shape.width();
    for (std::int64_t i = 0; i < k; i += piece_values) {
        const std::int64_t count = std::min(piece_values, k - i);
        expand_scales(*w.format, at, i, count, scales);
        product.multiply({at + product.codes_offset + i / 32 * w.format->integers->bits * 64, scales, product.table, i / 32, count / 32, first_row,
                          rows, sums},
                         product.x);
    }
    write_panel_sums(product.call, panel, first_row, rows, sums);
}

static void run(const Call& call, ActivationKind kind) noexcept {
    const core::Tensor& w = call.inputs[1];
    const formats::IntegerForm& form = *w.format->integers;
    const std::int64_t rows = call.inputs[0].shape.rows(), k = w.shape.width(), panels = (w.shape[0] + 15) / 16;
    const Product product{call,
                          quantize.at(call.isa)(call, kind, form.group == 16 ? 2 : 1, form.table ? 128 : form.zero),
                          choose(form, kind == ActivationKind::one_digit),
                          form.table ? unsigned_table(form.table) : Bytes{},
                          formats::panel_bytes(*w.format, k),
                          formats::panel_codes_offset(*w.format, k)};
    const PanelSchedule schedule = schedule_panels(rows, panels, k, product.panel_bytes, product.x.block_bytes(), most_rows);
    call.pool->run((panels + schedule.panels_per_chunk - 1) / schedule.panels_per_chunk, [&](std::int64_t c, int) {
        const std::int64_t end = std::min(panels, (c + 1) * schedule.panels_per_chunk);
        for (std::int64_t r = 0; r < rows; r += schedule.rows_at_once)
            for (std::int64_t p = c * schedule.panels_per_chunk; p < end; ++p) multiply_panel(product, p, r, std::min(schedule.rows_at_once, rows - r));
    });
}

[[maybe_unused]] static void run_exact(const Call& call) noexcept { run(call, ActivationKind::two_digits); }
[[maybe_unused]] static void run_short(const Call& call) noexcept { run(call, ActivationKind::one_digit); }

}  // namespace byte_kernel
}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
#if defined(__x86_64__)
const cpu::PerIsa<Run> byte_kernel_exact = {{nullptr, nullptr, &avx512::byte_kernel::run_exact, nullptr}};
const cpu::PerIsa<Run> byte_kernel_short = {{nullptr, nullptr, &avx512::byte_kernel::run_short, nullptr}};
#else
const cpu::PerIsa<Run> byte_kernel_exact{}, byte_kernel_short{};
#endif
}
#endif
