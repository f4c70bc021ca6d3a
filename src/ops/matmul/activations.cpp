// Rounding activations to integers; see activations.h.
#include "ops/matmul/activations.h"

#include <algorithm>
#include <bit>

#include "cpu/simd.h"

#define TAILOR_THIS_FILE "ops/matmul/activations.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// 127 * 256 + 127: the largest number of two signed digits.
constexpr float largest_word = 32639, largest_digit = 127;

// The integers of one block, their scale, and undefined instead of it if a value is infinite or undefined.
static float round_block(const float* x, float limit, std::int32_t* integers) noexcept {
    Vector largest_value = {}, check = {};
    for (std::int64_t i = 0; i < block_values; i += lanes) {
        const Vector v = load(x + i);
        largest_value = maximum(largest_value, maximum(v, -v));
        check = fused(v, Vector{}, check);  // 0, or undefined
    }
    const float size = largest(largest_value);
    const float inverse = size > 0 ? limit / size : 0.0f;
    const Vector magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer, in the low bits
    for (std::int64_t i = 0; i < block_values; i += lanes) {
        const Vector rounded = load(x + i) * inverse + magic;
        Integers bits;
        std::memcpy(&bits, &rounded, sizeof bits);
        bits -= 0x4B400000;
        std::memcpy(integers + i, &bits, sizeof bits);
    }
    return size / limit + sum(check);
}

static void write_words(const std::int32_t* integers, std::int16_t* out) noexcept {
    // Codes are taken from words of four bytes as the even ones and the odd ones.
    for (int i = 0; i < block_values; i += 4) {
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

static void quantize_block(const Activations& a, int zero, const float* x, std::int64_t block, std::int64_t row) noexcept {
    alignas(64) std::int32_t integers[block_values];
    const std::int64_t at = block * a.rows + row;
    const float scale = round_block(x, a.kind == ActivationKind::one_digit ? largest_digit : largest_word, integers);
    std::byte* const out = a.values + at * a.block_bytes();
    a.scales[at] = scale;
    if (a.kind == ActivationKind::words) write_words(integers, reinterpret_cast<std::int16_t*>(out));
    else if (a.kind == ActivationKind::two_digits) write_digits(integers, reinterpret_cast<std::int8_t*>(out));
    else
        for (int i = 0; i < block_values; ++i) reinterpret_cast<std::int8_t*>(out)[i] = static_cast<std::int8_t>(integers[i]);
    const std::int64_t group_values = block_values / a.groups_per_block;
    for (std::int64_t g = 0; g < a.groups_per_block; ++g) {
        std::int32_t total = 0;
        for (std::int64_t i = 0; i < group_values; ++i) total += integers[g * group_values + i];
        const std::int64_t place = (block * a.groups_per_block + g) * a.rows + row;
        a.corrections[place] = -zero * total;
        a.sums[place] = scale * static_cast<float>(total);
    }
}

static Activations quantize_rows(const Call& call, ActivationKind kind, int groups_per_block, int zero) noexcept {
    const core::Tensor& x = call.inputs[0];
    Activations a{.kind = kind, .rows = x.shape.rows(), .blocks = x.shape.width() / block_values, .groups_per_block = groups_per_block};
    const std::int64_t cells = a.rows * a.blocks;
    a.values = call.scratch;
    a.scales = reinterpret_cast<float*>(a.values + cells * 64);
    a.corrections = reinterpret_cast<std::int32_t*>(a.scales + cells);
    a.sums = reinterpret_cast<float*>(a.corrections + 2 * cells);
    // About 4 us of work per chunk: a single row is not worth waking a thread for.
    const std::int64_t rows_per_chunk = std::max<std::int64_t>(1, 16384 / x.shape.width());
    call.pool->run((a.rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t c, int) {
        const std::int64_t end = std::min(a.rows, (c + 1) * rows_per_chunk);
        for (std::int64_t r = c * rows_per_chunk; r < end; ++r)
            for (std::int64_t b = 0; b < a.blocks; ++b) quantize_block(a, zero, x.row_f32(r) + b * block_values, b, r);
    });
    return a;
}

}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {

std::int64_t activation_bytes(std::int64_t rows, std::int64_t k) { return rows * (k / block_values) * (64 + 4 + 8 + 8) + 64; }

const cpu::PerIsa<Quantize> quantize = TAILOR_EACH_ISA(quantize_rows);

}  // namespace tailor::ops::matmul_kernels
#endif
