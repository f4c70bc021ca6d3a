// Weights in panels times rows of activations in 16-bit words: every level, for processors without byte products.
//
// Multiplying pairs of 16-bit integers into 32-bit sums (pmaddwd and its like, in every x86-64 since SSE2) is twice as fast
// as f32 multiply-add. The next 256 columns of a panel are unpacked once into a buffer, 8 KB in the first-level cache; tiles of
// a few rows of activations times sixteen rows of weights then keep their sums in registers. One row alone multiplies codes as
// they leave the registers, since memory is its limit. Integer sums are exact within a group of weights; scales are applied in
// f32 (activations.h). Two other kinds of activations do with less work:
//     bytes    pairs of bytes into 16-bit sums (pmaddubsw), four times as fast as f32, for a group of 32 or 16. That fits where
//              codes are short: 16 products of at most 127 * 15 are below 2^15. Sums begin at what the zero of the codes takes
//              off, so the code's distance from zero counts; sums on the way may wrap.
//     scaled   for blocks of 256: code * group scale is still a 16-bit number, and activations of 12 to 16 bits with one scale per 256
//              let a whole unit be summed in 32 bits. Not one float inside a unit, but for minima.
#include <algorithm>
#include <bit>

#include "cpu/simd.h"
#include "formats/panels.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/integer_kind.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/word_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
namespace word_kernel {
using namespace cpu::TAILOR_ISA;
#include "ops/matmul/unpack_panel.h"

constexpr std::int64_t piece_values = formats::panel_unit, piece_blocks = piece_values / block_values, piece_groups = piece_values / 16;
// Panels that a tile takes side by side. One product needs a broadcast of its activations from cache, and a processor that loads as many registers in a
// cycle as it multiplies has no load left for weights: two panels share a broadcast (512 rows of q6_k on Zen 5: 70 % of the peak with one panel, 80 with two).
constexpr std::int64_t panels_at_once = lanes == 16 ? 2 : 1;
// Registers of a panel's sixteen rows, and of all panels at once.
constexpr std::int64_t panel_rows = formats::panel_rows, panel_parts = panel_rows / lanes, parts = panel_parts * panels_at_once;
// One step of a tile: what a lane of 32 bits of all these rows holds.
constexpr std::int64_t step_bytes = panel_rows * 4 * panels_at_once;
// Lines to ask for per 32 columns: those of the codes, and one for the scales, which take less.
template <class Kind>
constexpr int prefetch_lines = Kind::bits + 1;
// Rows of a register tile. Sixteen registers hold twelve sums, two operands and a broadcast; four rows instead of six cost
// nothing for groups of 32 and a third for groups of 16 (avx2).
constexpr int tile_rows = lanes == 4 ? 2 : lanes == 8 ? 6 : 12;
// A tile for what is left of the rows: 4 rows of 4-bit codes in two tiles of 2 take 44 % longer.
constexpr int half_rows = lanes == 4 ? 2 : 4;
// Rows whose sums are kept in cache while a panel passes, whole tiles: up to 17 KB per panel, of which a tile is at work.
constexpr std::int64_t most_rows = (256 + tile_rows - 1) / tile_rows * tile_rows;

// Ways to multiply. A step is a register of weights times one broadcast of activations; a word of four codes gives one or two. `blocks` of
// 32 columns share a scale of activations.

/// Two columns a step: 16-bit weights, their zero taken off, times 16-bit activations, in 32-bit sums.
struct WordSteps {
    static constexpr ActivationKind activations = ActivationKind::words;
    static constexpr std::int64_t blocks = 1, per_block = 16, per_word = 2;
    static constexpr bool corrects = false, scaled = false;
    [[gnu::always_inline]] static inline Integers add(Integers sums, Bytes w, Integers x) { return dot_words(sums, w, x); }
    [[gnu::always_inline]] static inline void add_word(Integers (&sums)[2], Bytes word, const std::byte* values) {
        sums[0] = dot_words(sums[0], even_bytes(word), broadcast_word(values));
        sums[1] = dot_words(sums[1], odd_bytes(word), broadcast_word(values + 4));
    }
    [[gnu::always_inline]] static inline Integers total(Integers sums) { return sums; }
};

/// The same with weights times their group scale: a block is 256 columns, a piece.
struct ScaledSteps : WordSteps {
    static constexpr ActivationKind activations = ActivationKind::unit_words;
    static constexpr std::int64_t blocks = 8, per_block = 128;
    static constexpr bool scaled = true;
};

/// Four columns a step: unsigned bytes times signed ones, in two 16-bit sums. These begin with what the zero takes off.
struct ByteSteps {
    static constexpr ActivationKind activations = ActivationKind::one_digit;
    static constexpr std::int64_t blocks = 1, per_block = 8, per_word = 1;
    static constexpr bool corrects = true, scaled = false;
    [[gnu::always_inline]] static inline Integers add(Integers sums, Bytes w, Integers x) { return add_pairs(sums, w, x); }
    [[gnu::always_inline]] static inline void add_word(Integers (&sums)[2], Bytes word, const std::byte* values) { sums[0] = add(sums[0], word, broadcast_word(values)); }
    [[gnu::always_inline]] static inline Integers total(Integers sums) { return dot_words(Integers{}, (Bytes)sums, (Integers)(Words{} + std::int16_t{1})); }
};

/// 256 columns of a panel taken apart.
struct Piece {
    alignas(64) std::byte steps[piece_blocks * WordSteps::per_block * step_bytes];  ///< [step][panel][row]
    alignas(64) float scales[panels_at_once][piece_groups * panel_rows * 2];        ///< as expand_scales() writes them
    alignas(64) float unit_scale[panels_at_once][panel_rows];                       ///< for ScaledSteps
};

/// What is the same for all panels of a matrix.
struct Weights {
    const formats::Format& format;
    Bytes numbers;  ///< the table, if there is one
    int zero;
    std::int64_t ahead_bytes;  ///< of their use, weights are asked for, scales included
};

// A word of four codes as the weights of its steps; `scale` is that of its group in both halves of each lane, for ScaledSteps.
template <class Steps>
[[gnu::always_inline]] inline void store_steps(Bytes word, Words zeros, Integers scale, std::byte* out) {
    if constexpr (Steps::per_word == 1) return store_bytes(out, word);
    Words even = (Words)even_bytes(word) - zeros, odd = (Words)odd_bytes(word) - zeros;
    if constexpr (Steps::scaled) even *= (Words)scale, odd *= (Words)scale;
    store_bytes(out, (Bytes)even), store_bytes(out + step_bytes, (Bytes)odd);
}

// The scale of a group of a unit as 16-bit words, twice in each lane.
[[gnu::always_inline]] inline Integers group_scale(formats::ScaleKind kind, const std::byte* at) {
    const Integers scale = kind == formats::ScaleKind::super ? load_signed_bytes(at) : kind == formats::ScaleKind::super_nibble ? load_unsigned_bytes(at) & 15 : Integers{} + 1;
    return (scale & 0xFFFF) | scale << 16;
}

// Takes apart the next `count` columns of a panel, a unit or less, as the `panel`th of the piece.
template <class Steps, class Kind>
static void unpack_piece(const Weights& weights, const std::byte* unit, std::int64_t count, std::int64_t panel, Piece& piece) noexcept {
    const Bytes numbers = weights.numbers;
    const Words zeros = Words{} + static_cast<std::int16_t>(weights.zero);
    const std::byte *const group_scales = unit + 2 * panel_rows * (Kind::minima ? 2 : 1), *codes = unit + formats::unit_scale_bytes(weights.format, count);
    const formats::ScaleKind kind = weights.format.integers->scales;
    if constexpr (Steps::scaled)
        for (std::int64_t part = 0; part < panel_parts; ++part) store(piece.unit_scale[panel] + part * lanes, load_halves(unit + part * lanes * 2));
    if constexpr (!Steps::scaled || Kind::minima) expand_scales(weights.format, unit, count, piece.scales[panel]);
    std::byte* out = piece.steps + panel * panel_rows * 4;
    const std::byte* ahead = unit + weights.ahead_bytes;
    for (std::int64_t b = 0; b < count / block_values; ++b, codes += Kind::bits * panel_rows * 4, out += 8 * Steps::per_word * step_bytes) {
        for (int line = 0; line < prefetch_lines<Kind>; ++line, ahead += 64) __builtin_prefetch(ahead);
        for (std::int64_t part = 0; part < panel_parts; ++part) {
            Integers scales[Kind::groups] = {};
            for (int g = 0; Steps::scaled && g < Kind::groups; ++g) scales[g] = group_scale(kind, group_scales + (b * Kind::groups + g) * panel_rows + part * lanes);
            for (int i = 0; i < 8; ++i)
                store_steps<Steps>(unpack_bytes<Kind>(codes + part * lanes * 4, numbers, i), zeros, scales[i * Kind::groups / 8], out + i * Steps::per_word * step_bytes + part * lanes * 4);
        }
    }
}

/// The sums of a tile, in registers as far as they reach.
template <class T, int rows>
using Tile = T[rows][parts];

// The integer sums of one group of weights with `rows` rows of x.
template <class Steps, int rows, std::int64_t steps>
[[gnu::always_inline]] inline void add_group(const std::byte* weights, const std::byte* values, Tile<Integers, rows>& totals) {
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < steps; ++i, weights += step_bytes) {
        Bytes w[parts];
        for (int part = 0; part < parts; ++part) w[part] = load_bytes(weights + part * lanes * 4);
        if (lanes == 16) __builtin_prefetch(values + rows * (Steps::per_block + i) * 4);
        for (int r = 0; r < rows; ++r) {
            const Integers value = broadcast_word(values + (r * Steps::per_block + i) * 4);
            for (int part = 0; part < parts; ++part) totals[r][part] = Steps::add(totals[r][part], w[part], value);
        }
    }
}

// Of sixteen numbers per panel, one per row of weights, those of part `part`, where a panel's lie `panel_stride` after the one before.
template <class Number>
[[gnu::always_inline]] inline Number* part_of(Number* first, std::int64_t panel_stride, int part) { return first + part / panel_parts * panel_stride + part % panel_parts * lanes; }

// `groups` with a scale and `minima` with a minimum per block of activations. `sums` are [panel][most_rows][16].
template <class Steps, int groups, int minima, int rows>
static void multiply_tile(const Piece& piece, std::int64_t first_block, std::int64_t blocks, const Activations& x, std::int64_t first_row, float* sums) noexcept {
    constexpr std::int64_t steps = Steps::per_block / groups, fields = minima ? 2 : 1;
    const std::int64_t all_rows = x.rows;
    const std::byte* weights = piece.steps;
    const float* scales = piece.scales[0];
    constexpr std::int64_t scale_stride = sizeof piece.scales[0] / 4, sum_stride = most_rows * panel_rows;
    const auto sum_at = [&](int r, int part) { return part_of(sums + r * panel_rows, sum_stride, part); };
    const auto for_each = [](const auto& body) {
        for (int r = 0; r < rows; ++r)
            for (int part = 0; part < parts; ++part) body(r, part);
    };
    // Sums stay in registers as far as these reach; where a piece is a single block its totals have them to themselves until then.
    Tile<Vector, rows> sum;
    const auto load_sums = [&] { for_each([&](int r, int part) { sum[r][part] = load(sum_at(r, part)); }); };
    const auto store_sums = [&] { for_each([&](int r, int part) { store(sum_at(r, part), sum[r][part]); }); };
    if (!Steps::scaled) load_sums();
    for (std::int64_t b = first_block; b < first_block + blocks; ++b, scales += groups * panel_rows * fields) {
        const std::int64_t cell = b * all_rows + first_row;
        const std::byte* values = x.values + cell * Steps::per_block * 4;
        Tile<Vector, rows> block;
        for (int g = 0; g < groups; ++g, values += steps * 4, weights += steps * step_bytes) {
            const std::int64_t place = (b * groups + g) * all_rows + first_row;
            Tile<Integers, rows> totals;
            for_each([&](int r, int part) { totals[r][part] = Integers{} + (Steps::corrects && !minima ? x.corrections[place + r] : 0); });
            add_group<Steps, rows, steps>(weights, values, totals);
            const float* const group_scales = Steps::scaled ? piece.unit_scale[0] : scales + g * panel_rows * fields;
            Vector scale[parts];
            for (int part = 0; part < parts; ++part) scale[part] = load(part_of(group_scales, Steps::scaled ? panel_rows : scale_stride, part));
            for_each([&](int r, int part) {
                const Vector total = to_floats(Steps::total(totals[r][part]));
                block[r][part] = g == 0 ? total * scale[part] : fused(total, scale[part], block[r][part]);
            });
        }
        if (Steps::scaled) for_each([&](int r, int part) { store(sum_at(r, part), fused(block[r][part], broadcast(x.scales[cell + r]), load(sum_at(r, part)))); });
        else for_each([&](int r, int part) { sum[r][part] = fused(block[r][part], broadcast(x.scales[cell + r]), sum[r][part]); });
        if (minima && Steps::scaled) load_sums();
        for (int g = 0; g < minima; ++g) {
            const float* const value_sums = x.sums + (b * minima + g) * all_rows + first_row;
            Vector minimum[parts];
            for (int part = 0; part < parts; ++part) minimum[part] = load(part_of(scales + (2 * g + 1) * panel_rows, scale_stride, part));
            for_each([&](int r, int part) { sum[r][part] = fused(minimum[part], broadcast(value_sums[r]), sum[r][part]); });
        }
        if (minima && Steps::scaled) store_sums();
    }
    if (!Steps::scaled) store_sums();
}

// One row against a whole panel, multiplied as codes leave the registers. Its scales are expanded 256 values at a time.
template <class Steps, class Kind>
static void multiply_row(const Weights& weights, const std::byte* panel, const Activations& x, float* sums) noexcept {
    constexpr int groups = Kind::groups, words = 8 / groups;
    constexpr std::int64_t fields = Kind::minima ? 2 : 1;
    alignas(64) float scales[piece_groups * panel_rows * 2];
    const Bytes numbers = weights.numbers;
    Vector sum[panel_parts] = {}, minimum_sum[panel_parts] = {};
    const std::byte *unit = panel, *codes = panel, *values = x.values, *ahead = panel;
    for (std::int64_t b = 0; b < x.blocks; ++b, codes += Kind::bits * panel_rows * 4) {
        if (b % piece_blocks == 0) {
            const std::int64_t count = std::min(piece_values, (x.blocks - b) * block_values);
            expand_scales(weights.format, unit, count, scales);
            codes = unit + formats::unit_scale_bytes(weights.format, count);
            ahead = unit + weights.ahead_bytes;
            unit += formats::unit_bytes(weights.format, count);
        }
        for (int line = 0; line < prefetch_lines<Kind>; ++line, ahead += 64) __builtin_prefetch(ahead);
        const float* scale = scales + b % piece_blocks * groups * panel_rows * fields;
        for (int g = 0; g < groups; ++g, scale += panel_rows * fields, values += words * Steps::per_word * 4) {
            Integers totals[panel_parts][2] = {};
            if constexpr (!Kind::minima)
                for (auto& total : totals) total[0] += x.corrections[b * groups + g];
            for (int i = 0; i < words; ++i)
                for (std::int64_t part = 0; part < panel_parts; ++part)
                    Steps::add_word(totals[part], unpack_bytes<Kind>(codes + part * lanes * 4, numbers, g * words + i), values + i * Steps::per_word * 4);
            for (std::int64_t part = 0; part < panel_parts; ++part) {
                sum[part] = fused(to_floats(Steps::total(totals[part][0] + totals[part][1])), load(scale + part * lanes) * x.scales[b], sum[part]);
                if constexpr (Kind::minima)
                    minimum_sum[part] = fused(load(scale + panel_rows + part * lanes), broadcast(x.sums[b * groups + g]), minimum_sum[part]);
            }
        }
    }
    for (std::int64_t part = 0; part < panel_parts; ++part) store(sums + part * lanes, sum[part] + minimum_sum[part]);
}

/// The functions for one kind.
struct Chosen {
    void (*unpack)(const Weights&, const std::byte*, std::int64_t, std::int64_t, Piece&) noexcept;
    void (*tile)(const Piece&, std::int64_t, std::int64_t, const Activations&, std::int64_t, float*) noexcept;
    decltype(tile) half, two_rows, one_row;  // of a tile
    void (*only_row)(const Weights&, const std::byte*, const Activations&, float*) noexcept;  // null: there is none
};

template <class Steps, class Kind>
static Chosen choose() noexcept {
    constexpr int groups = Steps::scaled ? 1 : Kind::groups, minima = Kind::minima ? Kind::groups * static_cast<int>(Steps::blocks) : 0;
    Chosen chosen{&unpack_piece<Steps, Kind>, &multiply_tile<Steps, groups, minima, tile_rows>, &multiply_tile<Steps, groups, minima, half_rows>,
                  &multiply_tile<Steps, groups, minima, 2>, &multiply_tile<Steps, groups, minima, 1>, nullptr};
    if constexpr (!Steps::scaled) chosen.only_row = &multiply_row<Steps, Kind>;
    return chosen;
}

/// What one call multiplies.
struct Product {
    const Call& call;
    Activations x;
    Chosen multiply;
    Weights weights;
    std::int64_t panel_bytes;
};

// The rows of the next tile. Eight rows are two tiles of four, but six and two for groups of 16 with a scale each (avx2).
static std::int64_t next_height(std::int64_t left, std::int64_t groups) noexcept {
    const bool halves = left == 2 * half_rows && groups != 2;
    return left >= tile_rows && !halves ? tile_rows : left >= half_rows ? half_rows : left >= 2 ? 2 : 1;
}

// The sums of a stretch of rows with 256 columns of a panel.
static void multiply_piece(const Product& product, const Piece& piece, std::int64_t first_block, std::int64_t blocks, std::int64_t first_row, std::int64_t rows,
                           float* sums) noexcept {
    const Chosen& multiply = product.multiply;
    for (std::int64_t r = 0; r < rows;) {
        const std::int64_t height = next_height(rows - r, product.x.groups_per_block);
        const auto tile = height == tile_rows ? multiply.tile : height == half_rows ? multiply.half : height == 2 ? multiply.two_rows : multiply.one_row;
        tile(piece, first_block, blocks, product.x, first_row + r, sums + r * panel_rows);
        r += height;
    }
}

// The panels from `first` to `end`, at most panels_at_once.
static void multiply_panels(const Product& product, std::int64_t first, std::int64_t end, std::int64_t first_row, std::int64_t rows) noexcept {
    alignas(64) float sums[panels_at_once][most_rows * panel_rows];
    Piece piece;
    const core::Tensor& w = product.call.inputs[1];
    const std::byte* at = w.data + first * product.panel_bytes;
    if (product.x.rows == 1 && product.multiply.only_row) {
        for (std::int64_t p = first; p < end; ++p, at += product.panel_bytes) {
            product.multiply.only_row(product.weights, at, product.x, sums[0]);
            write_panel_sums(product.call, p, 0, 1, sums[0]);
        }
        return;
    }
    for (auto& panel_sums : sums) std::memset(panel_sums, 0, static_cast<std::size_t>(rows * panel_rows) * 4);
    const std::int64_t k = w.shape.width(), values = product.x.values_per_block();
    for (std::int64_t i = 0; i < k; i += piece_values) {
        const std::int64_t count = std::min(piece_values, k - i);
        // A panel without a neighbour is its own, and those sums are not written.
        for (std::int64_t p = 0; p < panels_at_once; ++p) product.multiply.unpack(product.weights, at + std::min(p, end - first - 1) * product.panel_bytes, count, p, piece);
        multiply_piece(product, piece, i / values, count / values, first_row, rows, sums[0]);
        at += formats::unit_bytes(*w.format, count);
    }
    for (std::int64_t p = first; p < end; ++p) write_panel_sums(product.call, p, first_row, rows, sums[p - first]);
}

template <class Steps>
static void run(const Call& call) noexcept {
    const core::Tensor& w = call.inputs[1];
    const formats::IntegerForm& form = *w.format->integers;
    const std::int64_t rows = call.inputs[0].shape.rows(), k = w.shape.width(), panels = (w.shape[0] + panel_rows - 1) / panel_rows;
    // Unpacked words have their zero taken off, but those of one row.
    const Totals zeros = Steps::corrects ? Totals::pair_corrections : rows == 1 && !Steps::scaled ? Totals::corrections : Totals::none;
    const int zero = unpacked_bytes(form).zero;
    const Product product{call,
                          quantize.at(call.isa)(call, form, Steps::activations, form.minima ? Totals::sums : zeros),
                          visit_kind(form, [](auto kind) { return choose<Steps, decltype(kind)>(); }),
                          {*w.format, form.table ? unsigned_table(form.table, zero) : Bytes{}, zero, ahead_of_use().rows},
                          formats::panel_bytes(*w.format, k)};
    const std::int64_t tuples = (panels + panels_at_once - 1) / panels_at_once;
    PanelSchedule schedule = schedule_panels(rows, tuples, k, panels_at_once * product.panel_bytes, product.x.block_bytes() * block_values / product.x.values_per_block(),
                                             most_rows - tile_rows + 1);
    // Equal stretches of whole tiles: a panel is unpacked for each.
    const std::int64_t stretches = (rows + schedule.rows_at_once - 1) / schedule.rows_at_once;
    schedule.rows_at_once = ((rows + stretches - 1) / stretches + tile_rows - 1) / tile_rows * tile_rows;
    for_each_panel(*call.pool, schedule, tuples, rows, [&](std::int64_t tuple, std::int64_t first_row, std::int64_t count) {
        multiply_panels(product, tuple * panels_at_once, std::min(panels, (tuple + 1) * panels_at_once), first_row, count);
    });
}

}  // namespace word_kernel
}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
#if defined(__x86_64__)
const cpu::PerIsa<Run> word_kernel = {{&base::word_kernel::run<base::word_kernel::WordSteps>, &avx2::word_kernel::run<avx2::word_kernel::WordSteps>,
                                       &avx512::word_kernel::run<avx512::word_kernel::WordSteps>, nullptr}};
const cpu::PerIsa<Run> narrow_kernel = {{&base::word_kernel::run<base::word_kernel::ByteSteps>, &avx2::word_kernel::run<avx2::word_kernel::ByteSteps>, nullptr, nullptr}};
const cpu::PerIsa<Run> scaled_kernel = {{&base::word_kernel::run<base::word_kernel::ScaledSteps>, &avx2::word_kernel::run<avx2::word_kernel::ScaledSteps>, nullptr, nullptr}};
const cpu::PerIsa<Run> wide_scaled_kernel = {{nullptr, nullptr, &avx512::word_kernel::run<avx512::word_kernel::ScaledSteps>, nullptr}};
#else
const cpu::PerIsa<Run> word_kernel = {{&base::word_kernel::run<base::word_kernel::WordSteps>, nullptr, nullptr, nullptr}};
const cpu::PerIsa<Run> narrow_kernel = {{&base::word_kernel::run<base::word_kernel::ByteSteps>, nullptr, nullptr, nullptr}};
const cpu::PerIsa<Run> scaled_kernel = {{&base::word_kernel::run<base::word_kernel::ScaledSteps>, nullptr, nullptr, nullptr}};
const cpu::PerIsa<Run> wide_scaled_kernel{};
#endif
}  // namespace tailor::ops::matmul_kernels
#endif
