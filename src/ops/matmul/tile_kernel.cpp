// Weights in panels times many rows of activations in bf16 tiles: AMX.
//
// Tiles multiply bf16, 8 significant bits; sums are f32. A number is one bf16, or the sum of two `terms`: h, the nearest bf16, and
// l, the nearest to what is left, 16 bits together. Then x w = xh wh + xh wl + xl wh, but for xl wl, 2^-16 of it at most: three
// products of tiles instead of one (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for
// higher-precision computations", 2019), and still more numbers per second than the vector units' integers of 16 bits.
// Weights become tiles 512 columns at a time (256 in two terms), two panels together: 32 KB that stay in the first-level cache
// while up to 512 rows of activations pass by. Panels keep four values of sixteen rows as the bytes of one register, so two of
// them, scaled and rounded, are a row of a tile as they come: nothing is transposed. The activations are rounded once per call
// into tiles in call.scratch. The tiles of both terms stand one after the other: [16 rows][k / 32][terms].
//     for 512 rows of x, 512 or 256 of k (x's tiles: 512 KB, second-level cache), each two panels of the chunk: decode, then
//     for 32 rows: load 2 x 2 tiles of sums, add 16 or 8 steps of 2 x 2 products, store
// Four tiles loaded per four products (eight per twelve) is what eight registers allow, and sums stand tile by tile: spread over
// rows of y, each of a tile's rows would be on a page of its own. Decoding costs about 100 cycles per tile and its products 16 per
// 16 rows of x, hence as many rows as the caches allow. Templates over the kind of tiles let PlainTiles (cpu/tiles.h) test all of
// this anywhere.
#include <algorithm>
#include <bit>

#include "cpu/simd.h"
#include "cpu/tiles.h"
#include "formats/half.h"
#include "formats/panels.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/tile_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
namespace tile_kernel {
using namespace cpu::TAILOR_ISA;
#include "ops/matmul/unpack_panel.h"

constexpr std::int64_t panel_rows = formats::panel_rows, parts = panel_rows / lanes;
constexpr std::int64_t depth = cpu::tile_depth, tile_bytes = cpu::tile_bytes;
// Bytes of the tiles of two panels decoded together, of the 48 KB of a first-level cache; and the columns that these are.
constexpr std::int64_t piece_bytes = 32 * 1024;
template <int terms>
constexpr std::int64_t piece_values = piece_bytes / (2 * terms * tile_bytes) * depth;
// Rows of x that share them, and panels that share these rows: sums of 512 KB, on the stack, beside 512 KB of x in a
// second-level cache of 2 MB. Fetching x anew for every chunk then takes 4 bytes per cycle at the tiles' full speed.
constexpr std::int64_t most_rows = 512, most_panels = 16;

// The bf16 values of `even` and `odd`, nearest, ties to even, side by side in each lane. `native`: AVX512-BF16, by assembly since
// the levels do not include it; it takes numbers too small to be normal for zero, as tiles do anyway.
template <bool native>
[[gnu::always_inline]] inline Bytes pair(Vector even, Vector odd, Bytes order) {
    if constexpr (native) {
        Bytes apart, paired;
        asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(apart) : "v"(even), "v"(odd));
        asm("vpermw %1, %2, %0" : "=v"(paired) : "v"(apart), "v"(order));
        return paired;
    }
    Unsigned halves[2] = {(Unsigned)even, (Unsigned)odd};
    for (Unsigned& bits : halves) {
        const auto number = (Unsigned)((Vector)bits == (Vector)bits);  // all ones, or 0 for a NaN, which stays one
        bits = ((bits + 0x7FFFu + (bits >> 16 & 1u)) & number) | ((bits | 0x400000u) & ~number);
    }
    return (Bytes)(halves[0] >> 16 | (halves[1] & 0xFFFF0000u));
}

// What vpermw needs to set words 0, 16, 1, 17 ... side by side.
[[gnu::always_inline]] inline Bytes pair_order() {
    UnsignedWords order = {};
    for (int i = 0; i < 2 * lanes; ++i) order[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * lanes);
    return (Bytes)order;
}

// A row of a tile of weights from sixteen values and the next of each row, and of the tile of second terms.
template <bool native, int terms>
[[gnu::always_inline]] inline void store_pair(Vector even, Vector odd, Bytes order, std::byte* out) {
    const Bytes rounded = pair<native>(even, odd, order);
    store_bytes(out, rounded);
    if constexpr (terms == 2) {
        const Vector left_even = even - (Vector)((Unsigned)rounded << 16), left_odd = odd - (Vector)((Unsigned)rounded & 0xFFFF0000u);
        store_bytes(out + tile_bytes, pair<native>(left_even, left_odd, order));
    }
}

// 32 values of one row of x as a row of a tile, and of the tile of second terms.
template <bool native, int terms>
[[gnu::always_inline]] inline void round_step(const float* x, std::byte* out) {
    if constexpr (native) {
        Bytes values;
        asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(values) : "v"(load(x)), "v"(load(x + lanes)));
        store_bytes(out, values);
    } else {
        std::uint16_t values[depth];
        for (int i = 0; i < depth; ++i) values[i] = formats::f32_to_bf16(x[i]);
        std::memcpy(out, values, sizeof values);
    }
    if constexpr (terms == 2) {
        std::uint16_t rounded[depth];
        float left[depth];
        std::memcpy(rounded, out, sizeof rounded);
        for (int i = 0; i < depth; ++i) left[i] = x[i] - formats::bf16_to_f32(rounded[i]);
        round_step<native, 1>(left, out + tile_bytes);
    }
}

// Rows 16 t to 16 t + 15 of x as tiles [k / 32][terms]; missing rows are zero.
template <bool native, int terms>
static void round_rows(const core::Tensor& x, std::int64_t t, std::byte* tiles) noexcept {
    const std::int64_t first = t * cpu::tile_rows, rows = std::min(cpu::tile_rows, x.shape.rows() - first), steps = x.shape.width() / depth;
    if (rows < cpu::tile_rows) std::memset(tiles, 0, static_cast<std::size_t>(steps * terms * tile_bytes));
    for (std::int64_t r = 0; r < rows; ++r) {
        const float* const row = x.row_f32(first + r);
        for (std::int64_t s = 0; s < steps; ++s) round_step<native, terms>(row + s * depth, tiles + s * terms * tile_bytes + r * 64);
    }
}

/// A stretch of one panel.
struct Stretch {
    const core::Tensor& w;
    const std::byte* panel;
    std::int64_t first, count;  ///< columns; `first` is a multiple of a unit, `count` of 32 and of the format's block
    cpu::Isa isa;
};

// The codes of `steps` times 32 columns with the scales that expand_scales() wrote. value = code * scale + (minimum - zero * scale),
// where only additions round: zero is a power of two.
template <bool native, int terms, int bits, bool table, int groups, bool minima>
static void decode_codes(const std::byte* codes, const float* scales, std::int64_t steps, const formats::IntegerForm& form, std::byte* tiles) noexcept {
    constexpr std::int64_t fields = minima ? 2 : 1;
    const Vector zero = broadcast(static_cast<float>(table ? 128 : form.zero));
    const Bytes numbers = table ? unsigned_table(form.table) : Bytes{}, order = pair_order();
    for (std::int64_t s = 0; s < steps; ++s, codes += bits * 4 * panel_rows, tiles += terms * tile_bytes)
        for (std::int64_t part = 0; part < parts; ++part)
            for (int g = 0; g < groups; ++g) {
                const float* const scale_at = scales + (s * groups + g) * panel_rows * fields + part * lanes;
                const Vector scale = load(scale_at), base = minima ? load(scale_at + panel_rows) : Vector{}, offset = fused(-zero, scale, base);
                for (int i = g * 8 / groups; i < (g + 1) * 8 / groups; ++i) {
                    Bytes word = unpack_word<bits>(codes + part * lanes * 4, i);
                    if constexpr (table) word = look_up(numbers, word);
                    Vector value[4];
                    for (int j = 0; j < 4; ++j) value[j] = fused(to_floats((Integers)((Unsigned)word >> 8 * j & 255u)), scale, offset);
                    std::byte* const out = tiles + 2 * i * 64 + part * lanes * 4;
                    store_pair<native, terms>(value[0], value[1], order, out);
                    store_pair<native, terms>(value[2], value[3], order, out + 64);
                }
            }
}

// Units of integer codes.
template <bool native, int terms, int bits, bool table, int groups, bool minima>
static void decode_units(const Stretch& s, std::byte* tiles) noexcept {
    constexpr std::int64_t unit = formats::panel_unit;
    const formats::Format& format = *s.w.format;
    alignas(64) float scales[unit / 16 * panel_rows * 2];
    const std::byte* at = s.panel + s.first / unit * formats::unit_bytes(format, unit);
    for (std::int64_t i = 0; i < s.count; i += unit) {
        const std::int64_t count = std::min(unit, s.count - i);
        expand_scales(format, at, count, scales);
        decode_codes<native, terms, bits, table, groups, minima>(at + formats::unit_scale_bytes(format, count), scales, count / depth, *format.integers, tiles);
        at += formats::unit_bytes(format, count);
        tiles += count / depth * terms * tile_bytes;
    }
}

// Single values stand as [k][16 rows] in a panel.
template <bool native, int terms>
static void decode_values(const Stretch& s, std::byte* tiles) noexcept {
    alignas(64) float values[depth * panel_rows];
    const Bytes order = pair_order();
    const std::int64_t step_bytes = depth * panel_rows * s.w.format->bytes_per_block;
    const std::byte* at = s.panel + s.first / depth * step_bytes;
    for (std::int64_t b = 0; b < s.count / depth; ++b, at += step_bytes, tiles += terms * tile_bytes) {
        s.w.format->decode.at(s.isa)(at, values, depth * panel_rows);
        for (std::int64_t p = 0; p < depth / 2; ++p)
            for (std::int64_t part = 0; part < parts; ++part) {
                const float* const even = values + 2 * p * panel_rows + part * lanes;
                store_pair<native, terms>(load(even), load(even + panel_rows), order, tiles + p * 64 + part * lanes * 4);
            }
    }
}

using Decode = void (*)(const Stretch&, std::byte*) noexcept;

template <bool native, int terms, int bits, bool table = false>
static Decode choose(const formats::IntegerForm& form) noexcept {
    if (form.group == 16) return form.minima ? &decode_units<native, terms, bits, table, 2, true> : &decode_units<native, terms, bits, table, 2, false>;
    return form.minima ? &decode_units<native, terms, bits, table, 1, true> : &decode_units<native, terms, bits, table, 1, false>;
}
template <bool native, int terms>
static Decode choose(const formats::Format& format) noexcept {
    if (!format.integers) return &decode_values<native, terms>;
    const formats::IntegerForm& form = *format.integers;
    switch (form.bits) {
        case 2: return choose<native, terms, 2>(form);
        case 3: return choose<native, terms, 3>(form);
        case 4: return form.table ? choose<native, terms, 4, true>(form) : choose<native, terms, 4>(form);
        case 5: return choose<native, terms, 5>(form);
        case 6: return choose<native, terms, 6>(form);
        default: return choose<native, terms, 8>(form);
    }
}

/// Tiles that follow one another, and how far the next row (or column) of tiles is.
struct TileRows {
    const std::byte* first;
    std::int64_t stride_bytes;
};

// Tiles 0 to 3 hold sums, 4 and 5 tiles of a, 6 and 7 of b.
template <class Tiles, int heights>
[[gnu::always_inline]] inline void load_left(Tiles& tiles, const std::byte* first, std::int64_t stride_bytes) {
    tiles.template load<4>(first);
    if constexpr (heights == 2) tiles.template load<5>(first + stride_bytes);
}
template <class Tiles, int widths>
[[gnu::always_inline]] inline void load_right(Tiles& tiles, const std::byte* first, std::int64_t stride_bytes) {
    tiles.template load<6>(first);
    if constexpr (widths == 2) tiles.template load<7>(first + stride_bytes);
}
template <class Tiles, int heights, int widths>
[[gnu::always_inline]] inline void add_products(Tiles& tiles) {
    tiles.template multiply<0, 4, 6>();
    if constexpr (widths == 2) tiles.template multiply<1, 4, 7>();
    if constexpr (heights == 2) tiles.template multiply<2, 5, 6>();
    if constexpr (heights == 2 && widths == 2) tiles.template multiply<3, 5, 7>();
}

// `heights` x `widths` tiles of sums += a b over `steps`; with two terms al bh + ah bh + ah bl, in which order one operand stays.
// Not inlined: where GCC sees that there are at most 16 steps, it writes them all out and runs short of registers for addresses.
template <class Tiles, int terms, int heights, int widths>
[[gnu::noinline]] static void multiply(Tiles& tiles, TileRows a, TileRows b, std::int64_t steps, std::byte* sums, std::int64_t sums_stride_bytes) noexcept {
    std::byte* const right = sums + sums_stride_bytes;
    tiles.template load<0>(sums);
    if constexpr (widths == 2) tiles.template load<1>(right);
    if constexpr (heights == 2) tiles.template load<2>(sums + tile_bytes);
    if constexpr (heights == 2 && widths == 2) tiles.template load<3>(right + tile_bytes);
    for (std::int64_t s = 0; s < steps; ++s, a.first += terms * tile_bytes, b.first += terms * tile_bytes) {
        load_right<Tiles, widths>(tiles, b.first, b.stride_bytes);
        if constexpr (terms == 2) {
            load_left<Tiles, heights>(tiles, a.first + tile_bytes, a.stride_bytes);
            add_products<Tiles, heights, widths>(tiles);
        }
        load_left<Tiles, heights>(tiles, a.first, a.stride_bytes);
        add_products<Tiles, heights, widths>(tiles);
        if constexpr (terms == 2) {
            load_right<Tiles, widths>(tiles, b.first + tile_bytes, b.stride_bytes);
            add_products<Tiles, heights, widths>(tiles);
        }
    }
    tiles.template store<0>(sums);
    if constexpr (widths == 2) tiles.template store<1>(right);
    if constexpr (heights == 2) tiles.template store<2>(sums + tile_bytes);
    if constexpr (heights == 2 && widths == 2) tiles.template store<3>(right + tile_bytes);
}

/// What one call multiplies, and how it is cut. The tiles of x are in call.scratch.
struct Product {
    const Call& call;
    Decode decode;
    std::int64_t panel_bytes, rows_at_once;
};

// All rows of x against a piece of one panel or two, decoded.
template <class Tiles, int terms, int widths>
static void multiply_rows(Tiles& tiles, TileRows a, std::int64_t heights, TileRows b, std::int64_t steps, std::byte* sums) noexcept {
    std::int64_t t = 0;
    const std::int64_t stride = heights * tile_bytes;
    for (; t + 2 <= heights; t += 2) multiply<Tiles, terms, 2, widths>(tiles, {a.first + t * a.stride_bytes, a.stride_bytes}, b, steps, sums + t * tile_bytes, stride);
    if (t < heights) multiply<Tiles, terms, 1, widths>(tiles, {a.first + t * a.stride_bytes, a.stride_bytes}, b, steps, sums + t * tile_bytes, stride);
}

// Panels [begin, end) times rows [first_row, first_row + rows). Sums are [panel][16 rows of x] tiles.
template <class Tiles, int terms>
static void multiply_block(Tiles& tiles, const Product& product, std::int64_t begin, std::int64_t end, std::int64_t first_row, std::int64_t rows,
                           std::byte* sums) noexcept {
    alignas(64) std::byte weights[piece_bytes];
    const Call& call = product.call;
    const core::Tensor& w = call.inputs[1];
    const std::int64_t k = w.shape.width(), heights = (rows + 15) / 16, height_bytes = k / depth * terms * tile_bytes;
    std::memset(sums, 0, static_cast<std::size_t>((end - begin) * heights * tile_bytes));
    for (std::int64_t i = 0; i < k; i += piece_values<terms>) {
        const std::int64_t count = std::min(piece_values<terms>, k - i), steps = count / depth;
        const TileRows a{call.scratch + first_row / cpu::tile_rows * height_bytes + i / depth * terms * tile_bytes, height_bytes}, b{weights, steps * terms * tile_bytes};
        for (std::int64_t p = begin; p < end; p += 2) {
            const std::int64_t widths = std::min<std::int64_t>(2, end - p);
            for (std::int64_t c = 0; c < widths; ++c)
                product.decode({w, w.data + (p + c) * product.panel_bytes, i, count, call.isa}, weights + c * b.stride_bytes);
            std::byte* const at = sums + (p - begin) * heights * tile_bytes;
            if (widths == 2) multiply_rows<Tiles, terms, 2>(tiles, a, heights, b, steps, at);
            else multiply_rows<Tiles, terms, 1>(tiles, a, heights, b, steps, at);
        }
    }
}

template <class Tiles, int terms>
static void multiply_panels(const Product& product, std::int64_t begin, std::int64_t end) noexcept {
    alignas(64) std::byte sums[most_panels * most_rows / cpu::tile_rows * tile_bytes];
    Tiles tiles;
    const std::int64_t all_rows = product.call.inputs[0].shape.rows();
    for (std::int64_t r = 0; r < all_rows; r += product.rows_at_once) {
        const std::int64_t rows = std::min(product.rows_at_once, all_rows - r), panel_tiles = (rows + 15) / 16;
        multiply_block<Tiles, terms>(tiles, product, begin, end, r, rows, sums);
        for (std::int64_t p = begin; p < end; ++p)
            write_panel_sums(product.call, p, r, rows, reinterpret_cast<const float*>(sums + (p - begin) * panel_tiles * tile_bytes));
    }
}

template <class Tiles, bool native, int terms>
static void run(const Call& call) noexcept {
    const core::Tensor& w = call.inputs[1];
    const std::int64_t rows = call.inputs[0].shape.rows(), k = w.shape.width(), panels = (w.shape[0] + panel_rows - 1) / panel_rows;
    call.pool->run((rows + cpu::tile_rows - 1) / cpu::tile_rows,
                   [&](std::int64_t t, int) { round_rows<native, terms>(call.inputs[0], t, call.scratch + t * (k / depth) * terms * tile_bytes); });
    // Equal parts of whole pairs of tiles: a part of few rows would decode for little.
    const std::int64_t row_parts = (rows + most_rows - 1) / most_rows;
    const Product product{call, choose<native, terms>(*w.format), formats::panel_bytes(*w.format, k),
                          ((rows + row_parts - 1) / row_parts + 31) / 32 * 32};
    // Eight chunks at least, where there are so many pairs of panels.
    const std::int64_t chunk = std::clamp<std::int64_t>(panels / 16 * 2, 2, most_panels);
    call.pool->run((panels + chunk - 1) / chunk, [&](std::int64_t c, int) { multiply_panels<Tiles, terms>(product, c * chunk, std::min(panels, (c + 1) * chunk)); });
}

template <int terms>
[[maybe_unused]] static void run_plain(const Call& call) noexcept {
    if constexpr (lanes == 16) {
        if (cpu::has_avx512_bf16()) return run<cpu::PlainTiles, true, terms>(call);
    }
    run<cpu::PlainTiles, false, terms>(call);
}
#if defined(__x86_64__)
template <int terms>
[[maybe_unused]] static void run_amx(const Call& call) noexcept {
    if constexpr (lanes == 16) run<cpu::AmxTiles, true, terms>(call);
}
#endif

}  // namespace tile_kernel
}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
#if defined(__x86_64__)
const cpu::PerIsa<Run> tile_kernel_exact = {{nullptr, nullptr, nullptr, &avx512::tile_kernel::run_amx<2>}};
const cpu::PerIsa<Run> tile_kernel_short = {{nullptr, nullptr, nullptr, &avx512::tile_kernel::run_amx<1>}};
#else
const cpu::PerIsa<Run> tile_kernel_exact{}, tile_kernel_short{};
#endif
const cpu::PerIsa<Run> plain_tile_kernel_exact = TAILOR_EACH_ISA(tile_kernel::run_plain<2>);
const cpu::PerIsa<Run> plain_tile_kernel_short = TAILOR_EACH_ISA(tile_kernel::run_plain<1>);
}  // namespace tailor::ops::matmul_kernels
#endif
