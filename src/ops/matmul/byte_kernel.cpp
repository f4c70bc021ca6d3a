// Weights in panels times rows of activations in signed bytes: AVX-512 VNNI.
//
// A panel's next 32 columns are unpacked into eight registers, four codes of sixteen rows each, and multiplied there with
// every row of x before the next 32 are touched: weights stand still, activations pass by. So unpacking costs the same for
// one row or a hundred, no decoded weight is ever stored, and one product instruction reads its four activations as a
// broadcast from cache. Integer sums are exact within a group of weights; then scale and add in f32:
//     y[r, j] += activation scale[r] * (weight scale[j] * sum)  +  minimum[j] * (sum of activations)[r]
// where the bracket adds up both groups of 32 weights that have two. On Zen 4 the units that multiply, one register a cycle, are the
// limit: 16 products of two digits, a scale per group and one per row, a minimum per group. So 16 of 18 to 21 cycles are products.
// Zen 5 multiplies two registers a cycle and loads two, 19 for 16 products; two panels that share their activations are no faster there, since
// each sum of 32 columns still is converted and scaled.
// One row runs at the speed of memory; many rows are cut so that their activations stay in the second-level cache.
#include <algorithm>
#include <bit>

#include "cpu/simd.h"
#include "formats/panels.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/integer_kind.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/byte_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
namespace byte_kernel {
using namespace cpu::TAILOR_ISA;
#include "ops/matmul/unpack_panel.h"

constexpr std::int64_t unit_values = formats::panel_unit, unit_groups = unit_values / 16;
// Lines to ask for per 32 columns: those of the codes, and one for the scales, which take less.
template <class Kind>
constexpr int prefetch_lines = Kind::bits + 1;
// Rows whose sums are kept in cache while a panel passes: 8 KB.
constexpr std::int64_t most_rows = 128;

/// A unit of a panel and the rows it meets.
struct Piece {
    const std::byte *unit, *codes;
    const float* scales;  ///< as expand_scales() writes them
    Bytes table;
    std::int64_t ahead_bytes;  ///< of their use, weights are asked for, scales included
    std::int64_t first_block, blocks;
    std::int64_t first_row, rows;
    float* sums;  ///< [rows][16], added to
};

// What one block of 32 values adds to the integer sum of one group: `words` registers of codes times their activations.
// Eight words take two chains of additions per digit, so that products do not wait for one another; four take one.
template <int words, int digits>
[[gnu::always_inline]] inline Integers multiply_group(const Bytes* w, const std::byte* values, std::int32_t correction) {
    constexpr int chains = words / 4;
    Integers low[2] = {Integers{} + correction, Integers{}}, high[2] = {};
    for (int i = 0; i < words; ++i) {
        const int chain = i % chains;
        if constexpr (digits == 2) high[chain] = dot_bytes(high[chain], w[i], broadcast_word(values + 4 * i));
        low[chain] = dot_bytes(low[chain], w[i], broadcast_word(values + 32 * (digits - 1) + 4 * i));
    }
    Integers total = chains == 2 ? low[0] + low[1] : low[0];
    if constexpr (digits == 2) total += (chains == 2 ? high[0] + high[1] : high[0]) << 8;
    return total;
}

template <class Kind, int digits>
static void multiply_piece(const Piece& p, const Activations& x) noexcept {
    constexpr int bits = Kind::bits, groups = Kind::groups, words = 8 / groups;
    constexpr bool minima = Kind::minima;
    // Copies: the sums could be anything to the compiler, which would read these again after each store.
    const std::int64_t rows = p.rows, blocks = p.blocks, all_rows = x.rows;
    const std::int64_t first_cell = p.first_block * all_rows + p.first_row, first_place = p.first_block * groups * all_rows + p.first_row;
    const std::byte *codes = p.codes, *const all_values = x.values + first_cell * 32 * digits;
    const float *const all_scales = x.scales + first_cell, *const all_sums = minima ? x.sums + first_place : nullptr, *const weight_scales = p.scales;
    const std::int32_t* const corrections = minima ? nullptr : x.corrections + first_place;
    float* const sums = p.sums;
    const Bytes numbers = p.table;
    const std::byte* ahead = p.unit + p.ahead_bytes;
    for (std::int64_t b = 0; b < blocks; ++b, codes += bits * 64, ahead += prefetch_lines<Kind> * 64) {
        for (int line = 0; line < prefetch_lines<Kind>; ++line) __builtin_prefetch(ahead + 64 * line);
        Bytes w[8];
        for (int i = 0; i < 8; ++i) w[i] = unpack_bytes<Kind>(codes, numbers, i);
        Vector scale[groups], minimum[groups];
        for (int g = 0; g < groups; ++g) {
            const float* const at = weight_scales + (b * groups + g) * (minima ? 32 : 16);
            scale[g] = load(at);
            if constexpr (minima) minimum[g] = load(at + 16);
        }
        const std::byte* values = all_values + b * all_rows * 32 * digits;
        for (std::int64_t r = 0; r < rows; ++r, values += 32 * digits) {
            Vector sum = load(sums + r * 16), block = {};
            for (int g = 0; g < groups; ++g) {
                const std::int64_t place = (b * groups + g) * all_rows + r;
                if constexpr (minima) sum = fused(minimum[g], broadcast(all_sums[place]), sum);
                const Vector total = to_floats(multiply_group<words, digits>(w + g * words, values + g * words * 4, minima ? 0 : corrections[place]));
                block = g == 0 ? total * scale[g] : fused(total, scale[g], block);
            }
            store(sums + r * 16, fused(block, broadcast(all_scales[b * all_rows + r]), sum));
        }
    }
}

/// Where the scale of a block of 32 values is.
enum class Scales {
    block,         ///< an f16 per block
    exponent,      ///< a byte per block
    unit,          ///< an f16 per 256
    super,         ///< an f16 per 256 times a byte per group
    super_nibble,  ///< the same, four bits per group beside four of the minimum
    other,         ///< an f16 per 64 or 128: left to multiply_piece()
};

// One row of x against a whole panel. Group scales are used as the integers they are and the f16 scale of 256 values once, so
// nothing is expanded into memory.
template <class Kind, Scales kind>
static void multiply_row(const std::byte* panel, Bytes numbers, const Ahead& asked, const Activations& x, float* sums) noexcept {
    constexpr bool minima = Kind::minima;
    constexpr int bits = Kind::bits, groups = Kind::groups, words = 8 / groups, unit_blocks = unit_values / 32, fields = minima ? 2 : 1;
    const bool asks = bits < 8 || asked.bytes_of_one_row;
    const std::int64_t ahead_bytes = asked.one_row;
    constexpr bool super = kind == Scales::super || kind == Scales::super_nibble, whole = super || kind == Scales::unit;
    const std::byte* values = x.values;
    const float *scales = x.scales, *value_sums = x.sums;
    const std::int32_t* corrections = x.corrections;
    Vector sum = {}, minimum_sum = {};
    for (std::int64_t left = x.blocks; left > 0; left -= unit_blocks) {
        const std::int64_t blocks = std::min<std::int64_t>(unit_blocks, left);
        const std::byte* const halves = panel;
        const std::byte* fine = panel + 32 * fields;  // group scales of a super-block
        const std::byte* ahead = panel + ahead_bytes;
        panel += kind == Scales::block          ? blocks * 32 * fields
                 : kind == Scales::exponent     ? blocks * 16
                 : kind == Scales::unit         ? 32 * fields
                 : kind == Scales::super_nibble ? 32 * fields + unit_blocks * groups * 16
                                                : (32 + unit_blocks * groups * 16) * fields;
        Vector unit_sum = {}, unit_minimum = {};
        for (std::int64_t b = 0; b < blocks; ++b, panel += bits * 64, values += 64, ahead += prefetch_lines<Kind> * 64) {
            for (int line = 0; asks && line < prefetch_lines<Kind>; ++line) __builtin_prefetch(ahead + 64 * line);
            Bytes w[8];
            for (int i = 0; i < 8; ++i) w[i] = unpack_bytes<Kind>(panel, numbers, i);
            Vector block = {};
            for (int g = 0; g < groups; ++g, fine += 16) {
                const Vector total = to_floats(multiply_group<words, 2>(w + g * words, values + g * words * 4, minima ? 0 : *corrections++));
                const Vector value_sum = minima ? broadcast(*value_sums++) : Vector{};
                if constexpr (super) {
                    const Integers both = kind == Scales::super_nibble ? load_unsigned_bytes(fine) : load_signed_bytes(fine);
                    block = fused(total, to_floats(kind == Scales::super_nibble ? both & 15 : both), block);
                    if constexpr (minima) {
                        const Integers minimum = kind == Scales::super_nibble ? both >> 4 : load_unsigned_bytes(fine + unit_blocks * groups * 16);
                        unit_minimum = fused(to_floats(minimum), value_sum, unit_minimum);
                    }
                } else if constexpr (kind == Scales::unit) {
                    block = total;
                    if constexpr (minima) unit_minimum += value_sum;
                } else if constexpr (kind == Scales::exponent) {
                    block = total * power_of_two(load_unsigned_bytes(halves + b * 16));
                } else {
                    block = total * load_halves(halves + b * 32 * fields);
                    if constexpr (minima) minimum_sum = fused(load_halves(halves + b * 64 + 32), value_sum, minimum_sum);
                }
            }
            (whole ? unit_sum : sum) = fused(block, broadcast(*scales++), whole ? unit_sum : sum);
        }
        if constexpr (whole) {
            sum = fused(unit_sum, load_halves(halves), sum);
            if constexpr (minima) minimum_sum = fused(unit_minimum, load_halves(halves + 32), minimum_sum);
        }
    }
    store(sums, sum - minimum_sum);
}

/// The functions for one form.
struct Chosen {
    void (*piece)(const Piece&, const Activations&) noexcept;
    void (*row)(const std::byte*, Bytes, const Ahead&, const Activations&, float*) noexcept;  ///< null where multiply_piece() serves one row too
};

static Scales scales_of(const formats::Format& format) noexcept {
    switch (format.integers->scales) {
        case formats::ScaleKind::super: return Scales::super;
        case formats::ScaleKind::super_nibble: return Scales::super_nibble;
        case formats::ScaleKind::exponent: return Scales::exponent;
        default: return format.values_per_block == unit_values ? Scales::unit : format.values_per_block == 32 ? Scales::block : Scales::other;
    }
}

template <class Kind>
static Chosen choose(Scales scales, bool one_digit) noexcept {
    Chosen chosen{one_digit ? &multiply_piece<Kind, 1> : &multiply_piece<Kind, 2>, &multiply_row<Kind, Scales::super>};
    if (scales == Scales::other) chosen.row = nullptr;
    if (scales == Scales::super_nibble) chosen.row = &multiply_row<Kind, Scales::super_nibble>;
    if constexpr (Kind::groups == 1) {
        if (scales == Scales::block) chosen.row = &multiply_row<Kind, Scales::block>;
        if (scales == Scales::unit) chosen.row = &multiply_row<Kind, Scales::unit>;
        if (scales == Scales::exponent) chosen.row = &multiply_row<Kind, Scales::exponent>;
    }
    return chosen;
}

/// What one call multiplies.
struct Product {
    const Call& call;
    Activations x;
    Chosen multiply;
    Bytes table;
    Ahead ahead;
    std::int64_t panel_bytes;
};

static void multiply_panel(const Product& product, std::int64_t panel, std::int64_t first_row, std::int64_t rows) noexcept {
    alignas(64) float sums[most_rows * 16], scales[unit_groups * 32];
    const core::Tensor& w = product.call.inputs[1];
    const std::byte* at = w.data + panel * product.panel_bytes;
    if (product.x.rows == 1 && product.x.kind == ActivationKind::two_digits && product.multiply.row) {
        product.multiply.row(at, product.table, product.ahead, product.x, sums);
        return write_panel_sums(product.call, panel, 0, 1, sums);
    }
    std::memset(sums, 0, static_cast<std::size_t>(rows) * 64);
    const std::int64_t k = w.shape.width();
    for (std::int64_t i = 0; i < k; i += unit_values) {
        const std::int64_t count = std::min(unit_values, k - i);
        expand_scales(*w.format, at, count, scales);
        product.multiply.piece({at, at + formats::unit_scale_bytes(*w.format, count), scales, product.table, product.ahead.rows, i / 32, count / 32, first_row, rows, sums}, product.x);
        at += formats::unit_bytes(*w.format, count);
    }
    write_panel_sums(product.call, panel, first_row, rows, sums);
}

static void run(const Call& call, ActivationKind kind) noexcept {
    const core::Tensor& w = call.inputs[1];
    const formats::IntegerForm& form = *w.format->integers;
    const std::int64_t rows = call.inputs[0].shape.rows(), k = w.shape.width(), panels = (w.shape[0] + 15) / 16;
    const Scales scales = scales_of(*w.format);
    const Product product{call,
                          quantize.at(call.isa)(call, form, kind, form.minima ? Totals::sums : Totals::corrections),
                          visit_kind(form, [&](auto k) { return choose<decltype(k)>(scales, kind == ActivationKind::one_digit); }),
                          form.table ? unsigned_table(form.table, unpacked_bytes(form).zero) : Bytes{},
                          ahead_of_use(),
                          formats::panel_bytes(*w.format, k)};
    const PanelSchedule schedule = schedule_panels(rows, panels, k, product.panel_bytes, product.x.block_bytes(), most_rows);
    for_each_panel(*call.pool, schedule, panels, rows,
                   [&](std::int64_t panel, std::int64_t first_row, std::int64_t count) { multiply_panel(product, panel, first_row, count); });
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
