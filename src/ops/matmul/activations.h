// Activations as integers with one scale per 32 values (or 256), for products with integer codes.
//
// A value becomes round(x / scale), scale = largest / limit of its block, so that a block of weights and one of activations
// multiply exactly in 32-bit integers and only the scales are floats. Four forms, by what the processor multiplies:
//     words        16-bit integers up to 32,639. Relative error of a block of normal numbers: 2e-5, next to that of f32 sums.
//     two digits   the same integers as 256 * high + low with two signed bytes, since AVX-512 VNNI multiplies bytes at four
//                  times, 16-bit words at twice the rate of f32: twice as many products as words need, but the codes stay bytes.
//     one digit    8-bit integers up to 127: half the products, relative error 5e-3. For formats whose own error dwarfs that.
//     unit words   16-bit integers with one scale per 256 values, up to what lets 256 products with code * group scale fit 32
//                  bits: 2,047 for q6_k, relative error 4e-4; 8,876 for q4_k, 1e-4; 32,639 for three bits and fewer. Floats come into
//                  play once per 256 values.
// Codes are unsigned. What their zero adds to a sum, zero * sum of the integers, is taken off beforehand (`corrections`), and
// minima meet sums of activations (`sums`): what of this a kernel reads, its Totals, is computed.
#pragma once
#include "cpu/isa.h"
#include "formats/panels.h"
#include "ops/op.h"

namespace tailor::ops::matmul_kernels {

/// Values that share one activation scale, but for unit words.
inline constexpr std::int64_t block_values = 32;

enum class ActivationKind { words, two_digits, one_digit, unit_words };

/// What is known of each group of activations besides its values.
enum class Totals {
    none,
    corrections,       ///< -zero * sum of the integers
    pair_corrections,  ///< the same of values 0 and 1 of each four in the low half, of 2 and 3 in the high half, modulo 2^16
    sums,              ///< scale * sum of the integers
};

/// All rows of x, block by block: [block][row] of everything; blocks run along k.
struct Activations {
    ActivationKind kind = ActivationKind::words;
    std::int64_t rows = 0, blocks = 0;
    std::int64_t groups_per_block = 1;  ///< weight groups per block: 1 or 2, of unit words 8 or 16
    std::byte* values = nullptr;        ///< words: 16-bit values 0 2 1 3 of each four; two digits: 32 high, 32 low bytes
    float* scales = nullptr;            ///< [block][row]
    std::int32_t* corrections = nullptr;  ///< [group][row], if asked for
    float* sums = nullptr;              ///< [group][row], if asked for

    /// Values that share a scale, and their bytes.
    std::int64_t values_per_block() const { return kind == ActivationKind::unit_words ? formats::panel_unit : block_values; }
    std::int64_t block_bytes() const { return values_per_block() * (kind == ActivationKind::one_digit ? 1 : 2); }
};

/// Bytes of scratch that quantize() needs for any kind.
std::int64_t activation_bytes(std::int64_t rows, std::int64_t k);

/// The largest integer of unit words for weights of this form.
int largest_unit_word(const formats::IntegerForm& form) noexcept;

/// Rounds the rows of call.inputs[0] into call.scratch for weights of this form, in parallel. k is a multiple of 32. A row with an infinite or undefined
/// value gets an undefined scale, so that it shows in the product as it does in floats.
using Quantize = Activations (*)(const Call& call, const formats::IntegerForm& form, ActivationKind kind, Totals totals) noexcept;
extern const cpu::PerIsa<Quantize> quantize;

}  // namespace tailor::ops::matmul_kernels
