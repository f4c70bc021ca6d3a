// Rounding activations to integers; see activations.h.
#include "ops/matmul/activations.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "cpu/simd.h"
#include "ops/matmul/integer_kind.h"

#define TAILOR_THIS_FILE "ops/matmul/activations.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// 127 * 256 + 127: the largest number of two signed digits.
constexpr float largest_word = 32639, largest_digit = 127;

// The integers of one block of `count` values, their scale, and undefined instead of it if a value is infinite or undefined.
static float round_block(const float* x, std::int64_t count, float limit, std::int32_t* integers) noexcept {
    Vector largest_value = {}, check = {};
    for (std::int64_t i = 0; i < count; i += lanes) {
        const Vector v = load(x + i);
        largest_value = maximum(largest_value, maximum(v, -v));
        check = fused(v, Vector{}, check);  // 0, or undefined
    }
    const float size = largest(largest_value);
    const float inverse = size > 0 ? limit / size : 0.0f;
    const Vector magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer, in the low bits
    for (std::int64_t i = 0; i < count; i += lanes) {
        const Vector rounded = load(x + i) * inverse + magic;
        Integers bits;
        std::memcpy(&bits, &rounded, sizeof bits);
        bits -= 0x4B400000;
        std::memcpy(integers + i, &bits, sizeof bits);
    }
    return size / limit + sum(check);
}

static void write_words(const std::int32_t* integers, std::int64_t count, std::int16_t* out) noexcept {
    // Codes are taken from words of four bytes as the even ones and the odd ones.
    for (std::int64_t i = 0; i < count; i += 4) {
        out[i] = static_cast<std::int16_t>(integers[i]);
        out[i + 1] = static_cast<std::int16_t>(integers[i + 2]);
        out[i + 2] = static_cast<std::int16_t>(integers[i + 1]);
        out[i + 3] = static_cast<std::int16_t>(integers[i + 3]);
    }
}

static void write_digits(const std::int32_t* integers, std::int8_t* out) noexcept {
    for (int i = 0; i < block_values; ++i) {
        const auto low = static_cast<std::int8_t>(integers[i]);
        out[i] = static_cast<std::int8_t>((integers[i] - low) >> 8);
        out[block_values + i] = low;
    }
}

// The sum of the integers of each group, as `totals` asks for it; [group][row] in `a`.
static void write_totals(const Activations& a, Totals totals, int zero, const std::int32_t* integers, float scale, std::int64_t group, std::int64_t row) noexcept {
    const std::int64_t group_values = block_values / a.groups_per_block;
    for (std::int64_t g = 0; g < a.groups_per_block; ++g) {
        std::int32_t pairs[2] = {};
        for (std::int64_t i = 0; i < group_values; ++i) pairs[i / 2 % 2] += integers[g * group_values + i];
        const std::int32_t total = pairs[0] + pairs[1];
        const std::int64_t place = (group + g) * a.rows + row;
        if (totals == Totals::sums) a.sums[place] = scale * static_cast<float>(total);
        else if (totals == Totals::corrections) a.corrections[place] = -zero * total;
        else a.corrections[place] = static_cast<std::int32_t>((static_cast<std::uint32_t>(-zero * pairs[0]) & 0xFFFFu) | static_cast<std::uint32_t>(-zero * pairs[1]) << 16);
    }
}

static void quantize_block(const Activations& a, Totals totals, float limit, int zero, const float* x, std::int64_t block, std::int64_t row) noexcept {
    alignas(64) std::int32_t integers[formats::panel_unit];
    const std::int64_t at = block * a.rows + row, count = a.values_per_block();
    const float scale = round_block(x, count, limit, integers);
    std::byte* const out = a.values + at * a.block_bytes();
    a.scales[at] = scale;
    if (a.kind == ActivationKind::two_digits) write_digits(integers, reinterpret_cast<std::int8_t*>(out));
    else if (a.kind != ActivationKind::one_digit) write_words(integers, count, reinterpret_cast<std::int16_t*>(out));
    else
        for (int i = 0; i < block_values; ++i) reinterpret_cast<std::int8_t*>(out)[i] = static_cast<std::int8_t>(integers[i]);
    if (totals != Totals::none) write_totals(a, totals, zero, integers, scale, block * a.groups_per_block, row);
}

static Activations quantize_rows(const Call& call, const formats::IntegerForm& form, ActivationKind kind, Totals totals) noexcept {
    const core::Tensor& x = call.inputs[0];
    Activations a{.kind = kind, .rows = x.shape.rows(), .groups_per_block = groups_per_block(form)};
    a.blocks = x.shape.width() / a.values_per_block();
    const std::int64_t cells = a.rows * a.blocks;
    const int zero = unpacked_bytes(form).zero;
    const float limit = kind == ActivationKind::one_digit ? largest_digit : kind == ActivationKind::unit_words ? static_cast<float>(largest_unit_word(form)) : largest_word;
    a.values = call.scratch;
    a.scales = reinterpret_cast<float*>(a.values + cells * a.block_bytes());
    if (totals == Totals::sums) a.sums = a.scales + cells;
    else if (totals != Totals::none) a.corrections = reinterpret_cast<std::int32_t*>(a.scales + cells);
    // About 4 us of work per chunk: a single row is not worth waking a thread for.
    const std::int64_t rows_per_chunk = std::max<std::int64_t>(1, 16384 / x.shape.width());
    call.pool->run((a.rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t c, int) {
        const std::int64_t end = std::min(a.rows, (c + 1) * rows_per_chunk);
        for (std::int64_t r = c * rows_per_chunk; r < end; ++r)
            for (std::int64_t b = 0; b < a.blocks; ++b) quantize_block(a, totals, limit, zero, x.row_f32(r) + b * a.values_per_block(), b, r);
    });
    return a;
}

}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {

std::int64_t activation_bytes(std::int64_t rows, std::int64_t k) { return rows * (k / block_values) * (64 + 4 + 8) + 64; }

int largest_unit_word(const formats::IntegerForm& form) noexcept {
    constexpr int largest_group_scale = 128;
    const int products = static_cast<int>(formats::panel_unit) * largest_group_scale * largest_number(form);
    return std::min(32639, std::numeric_limits<std::int32_t>::max() / products);
}

const cpu::PerIsa<Quantize> quantize = TAILOR_EACH_ISA(quantize_rows);

}  // namespace tailor::ops::matmul_kernels
#endif
