// Rounding activations to integers; see activations.h.
#include "ops/matmul/activations.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "cpu/simd.h"
#include "cpu/stream.h"
#include "ops/matmul/integer_kind.h"

#define TAILOR_THIS_FILE "ops/matmul/activations.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// 127 * 256 + 127: the largest number of two signed digits.
constexpr float largest_word = 32639, largest_digit = 127;

// Lane i of the result is lane `from(i)` of v.
template <class From, int... i>
[[gnu::always_inline]] inline Integers permute(Integers v, From from, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, from(i)...);
}
/// Lane i takes lane i + n, around the end.
template <int n>
struct Rotation {
    constexpr int operator()(int i) const { return (i + n) % lanes; }
};
/// Exchanges the two in the middle of each four.
struct MiddleExchange {
    constexpr int operator()(int i) const { return i % 4 == 1 ? i + 1 : i % 4 == 2 ? i - 1 : i; }
};
using Lanes = std::make_integer_sequence<int, lanes>;

[[gnu::always_inline]] inline Integers larger(Integers a, Integers b) { return a > b ? a : b; }

/// Every lane: the largest of all.
template <int n = lanes / 2>
[[gnu::always_inline]] inline Integers largest_everywhere(Integers v) {
    v = larger(v, permute(v, Rotation<n>{}, Lanes{}));
    if constexpr (n > 1) v = largest_everywhere<n / 2>(v);
    return v;
}
/// Lanes 0 to 3: the sums of the lanes that leave the same rest divided by 4.
template <int n = lanes / 2>
[[gnu::always_inline]] inline Integers sum_by_fours(Integers v) {
    if constexpr (n >= 4) v = sum_by_fours<n / 2>(v + permute(v, Rotation<n>{}, Lanes{}));
    return v;
}

// The lanes as 16-bit or 8-bit integers, which they fit. A template so that only the branch of this level is compiled.
template <class Words, int width = sizeof(Words) / 4>
[[gnu::always_inline]] inline void store_words(std::int16_t* p, Words v) {
#if defined(__x86_64__)
    // The forms without a mask read an undefined register in GCC 12, which then warns.
    if constexpr (width == 16) _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_maskz_cvtepi32_epi16(0xFFFF, (__m512i)v));
    else if constexpr (width == 8) _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1)));
    else _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32((__m128i)v, (__m128i)v));
#else
    for (int i = 0; i < width; ++i) p[i] = static_cast<std::int16_t>(v[i]);
#endif
}
template <class Words, int width = sizeof(Words) / 4>
[[gnu::always_inline]] inline void store_digits(std::int8_t* p, Words v) {
#if defined(__x86_64__)
    if constexpr (width == 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xFFFF, (__m512i)v));
    } else {
        std::int16_t words[8];
        store_words(words, v);
        const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(words)), bytes = _mm_packs_epi16(pairs, pairs);
        std::memcpy(p, &bytes, width);
    }
#else
    for (int i = 0; i < width; ++i) p[i] = static_cast<std::int8_t>(v[i]);
#endif
}

// The integers of one block; its scale, or undefined if a value is infinite or undefined. The bits of floats without their sign
// are ordered as integers, and those two come last.
template <int values>
[[gnu::always_inline]] inline float round_block(const float* x, float limit, Integers (&integers)[values / lanes]) {
    constexpr std::int32_t infinite = 0x7F800000;
    Vector v[values / lanes];
    Integers size_bits = {};
    for (int i = 0; i < values / lanes; ++i) {
        v[i] = load(x + i * lanes);
        size_bits = larger(size_bits, (Integers)v[i] & 0x7FFFFFFF);
    }
    const std::int32_t bits = largest_everywhere(size_bits)[0];
    const float size = std::bit_cast<float>(bits), inverse = bits > 0 && bits < infinite ? limit / size : 0.0f;
    for (int i = 0; i < values / lanes; ++i) integers[i] = nearest(v[i] * inverse);
    return bits < infinite ? size / limit : std::numeric_limits<float>::quiet_NaN();
}

template <int values>
[[gnu::always_inline]] inline void write_values(ActivationKind kind, const Integers (&integers)[values / lanes], std::byte* out) {
    auto* const digits = reinterpret_cast<std::int8_t*>(out);
    auto* const words = reinterpret_cast<std::int16_t*>(out);
    for (int i = 0; i < values / lanes; ++i) {
        const Integers v = integers[i], low = v << 24 >> 24;
        if (kind == ActivationKind::two_digits) {
            store_digits(digits + i * lanes, (v - low) >> 8);
            store_digits(digits + values + i * lanes, low);
        } else if (kind == ActivationKind::one_digit) {
            store_digits(digits + i * lanes, v);
        } else {
            store_words(words + i * lanes, permute(v, MiddleExchange{}, Lanes{}));
        }
    }
}

// The sum of the integers of each group, as `totals` asks for it; [group][row] in `a`.
template <int values, int group_values>
[[gnu::always_inline]] inline void write_totals(const Activations& a, Totals totals, int zero, const Integers* integers, float scale, std::int64_t place) {
    for (int g = 0; g < values / group_values; ++g, place += a.rows, integers += group_values / lanes) {
        Integers all = integers[0];
        for (int i = 1; i < group_values / lanes; ++i) all += integers[i];
        const Integers fours = sum_by_fours(all);
        const std::int32_t first = fours[0] + fours[1], second = fours[2] + fours[3];
        if (totals == Totals::sums) a.sums[place] = scale * static_cast<float>(first + second);
        else if (totals == Totals::corrections) a.corrections[place] = -zero * (first + second);
        else a.corrections[place] = static_cast<std::int32_t>((static_cast<std::uint32_t>(-zero * first) & 0xFFFFu) | static_cast<std::uint32_t>(-zero * second) << 16);
    }
}

/// What is the same for all blocks of a call.
struct Rounding {
    Totals totals;
    float limit;
    int zero;
};

template <int values>
static void quantize_block(const Activations& a, const Rounding& rounding, const float* x, std::int64_t block, std::int64_t row) noexcept {
    Integers integers[values / lanes];
    const std::int64_t at = block * a.rows + row, place = block * a.groups_per_block * a.rows + row;
    const float scale = round_block<values>(x, rounding.limit, integers);
    a.scales[at] = scale;
    write_values<values>(a.kind, integers, a.values + at * a.block_bytes());
    if (rounding.totals == Totals::none) return;
    if (a.groups_per_block == values / 16) write_totals<values, 16>(a, rounding.totals, rounding.zero, integers, scale, place);
    else write_totals<values, 32>(a, rounding.totals, rounding.zero, integers, scale, place);
}

/// Blocks that are rounded before they are streamed to where all threads read them: neighbours in a row if it is the only one, else in
/// a block's rows. Both lie side by side in everything but the totals of several rows.
constexpr std::int64_t staged_blocks = 16;

static void quantize_staged(const Activations& a, const Rounding& rounding, const core::Tensor& x, std::int64_t block, std::int64_t row, std::int64_t count) noexcept {
    alignas(cpu::cache_line) std::byte values[staged_blocks * formats::panel_unit * 2];
    alignas(cpu::cache_line) float scales[staged_blocks];
    alignas(cpu::cache_line) std::int32_t totals[staged_blocks * formats::panel_unit / 16];
    const bool one_row = a.rows == 1;
    Activations staged = a;
    staged.rows = one_row ? 1 : count;
    staged.values = values, staged.scales = scales;
    if (a.sums) staged.sums = reinterpret_cast<float*>(totals);
    else staged.corrections = totals;
    const auto quantize_one = a.kind == ActivationKind::unit_words ? &quantize_block<formats::panel_unit> : &quantize_block<block_values>;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t down = one_row ? 0 : i, along = one_row ? i : 0;
        quantize_one(staged, rounding, x.row_f32(row + down) + (block + along) * a.values_per_block(), along, down);
    }
    const std::int64_t at = block * a.rows + row, place = block * a.groups_per_block * a.rows + row;
    const auto size = static_cast<std::size_t>(count);
    cpu::stream(a.values + at * a.block_bytes(), values, size * static_cast<std::size_t>(a.block_bytes()));
    cpu::stream(a.scales + at, scales, size * sizeof(float));
    if (rounding.totals == Totals::none) return;
    void* const all_totals = a.sums ? static_cast<void*>(a.sums) : a.corrections;
    const std::int64_t runs = one_row ? 1 : a.groups_per_block, run = one_row ? a.groups_per_block * count : count;
    for (std::int64_t g = 0; g < runs; ++g)
        cpu::stream(static_cast<std::int32_t*>(all_totals) + place + g * a.rows, totals + g * run, static_cast<std::size_t>(run) * 4);
}

static Activations quantize_rows(const Call& call, const formats::IntegerForm& form, ActivationKind kind, Totals totals) noexcept {
    const core::Tensor& x = call.inputs[0];
    Activations a{.kind = kind, .rows = x.shape.rows()};
    a.blocks = x.shape.width() / a.values_per_block();
    a.groups_per_block = groups_per_block(form) * a.values_per_block() / block_values;
    const std::int64_t cells = a.rows * a.blocks;
    const float limit = kind == ActivationKind::one_digit    ? largest_digit
                        : kind == ActivationKind::unit_words ? static_cast<float>(largest_unit_word(form))
                                                             : largest_word;
    const Rounding rounding{totals, limit, unpacked_bytes(form).zero};
    a.values = call.scratch;
    a.scales = reinterpret_cast<float*>(a.values + cells * a.block_bytes());
    if (totals == Totals::sums) a.sums = a.scales + cells;
    else if (totals != Totals::none) a.corrections = reinterpret_cast<std::int32_t*>(a.scales + cells);
    // A quarter of a few rows, but some microseconds of work: a single row is not worth waking a thread for. Of many rows as many as are staged.
    const std::int64_t width = x.shape.width(), chunk_values = std::max<std::int64_t>(4096, a.rows * width / 4);
    const std::int64_t rows_per_chunk = std::clamp<std::int64_t>(chunk_values / width, 1, staged_blocks);
    call.pool->run((a.rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t c, int) {
        const std::int64_t first = c * rows_per_chunk, rows = std::min(a.rows - first, rows_per_chunk);
        const std::int64_t blocks_at_once = a.rows == 1 ? staged_blocks : 1;
        for (std::int64_t b = 0; b < a.blocks; b += blocks_at_once)
            quantize_staged(a, rounding, x, b, first, a.rows == 1 ? std::min(blocks_at_once, a.blocks - b) : rows);
        cpu::finish_streams();
    });
    return a;
}

}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {

std::int64_t activation_bytes(std::int64_t rows, std::int64_t k) { return rows * (k / block_values) * (64 + 4 + 8) + 64; }

int largest_unit_word(const formats::IntegerForm& form) noexcept {
    const int products = static_cast<int>(formats::panel_unit) * form.largest_scale * largest_number(form);
    return std::min(32639, std::numeric_limits<std::int32_t>::max() / products);
}

const cpu::PerIsa<Quantize> quantize = TAILOR_EACH_ISA(quantize_rows);

}  // namespace tailor::ops::matmul_kernels
#endif
