// The product of two matrices, C = A B, with both factors rounded to bf16: twice the products per second of f32 where the processor
// multiplies pairs of bf16 numbers (AVX512-BF16), at 8 significant bits; sums are f32.
//
// Training is used to such factors as long as weights, sums and what the optimizer keeps stay f32: Micikevicius et al., "Mixed Precision
// Training", 2018; Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training", 2019. All three products of a layer have this form:
//     result:              Y = X W^T     A = X,      B = W [n, depth], transposed
//     gradient of X:       dX = dY W     A = dY,     B = W [depth, n]
//     gradient of W:       dW = dY^T X   A = dY^T,   B = X [depth, n]
#pragma once
#include "ops/product.h"

namespace tailor::ops {

/// Rounding both factors to 8 significant bits: 2.5e-3 of the largest result for normal numbers, up to 4e-3 for a single product.
inline constexpr double pair_error = 5e-3;
/// The same where a result depends on exponentials of such products: attention.
inline constexpr double attention_pair_error = 1e-2;
/// What training bears, so that all of these may run.
inline constexpr double training_error = attention_pair_error;
/// Products of fewer rows or less depth spend their time rounding.
inline constexpr std::int64_t least_pair_rows = 32, least_pair_depth = 32;

/// Columns of B that are rounded together, a multiple of 256: 4 MB of them or 256, so that scratch stays small beside a matrix of any size. A is
/// rounded anew for each such stretch.
constexpr std::int64_t pair_stretch(std::int64_t depth) {
    const std::int64_t columns = (std::int64_t{1} << 21) / (depth > 0 ? depth : 1) / 256 * 256;
    return columns > 256 ? columns : 256;
}

/// Rows of a tile of A and columns of a panel of B, at avx512, and the words of 32 bits from one to the next. Beyond the depth they hold a line or two
/// of nothing: with a power of two between them, lines written one after the other would share a few sets of the cache and push each other out.
inline constexpr int pair_tile_rows = 12, pair_panel_columns = 32;
constexpr std::int64_t pair_tile_words(std::int64_t depth) { return (depth + 1) / 2 * pair_tile_rows + 16; }
constexpr std::int64_t pair_panel_words(std::int64_t depth) { return (depth + 1) / 2 * pair_panel_columns + 32; }

struct PairProduct {
    Product product;            ///< with b [n, depth] if `transposed`
    bool transposed = false;
    const float* bias = nullptr;  ///< [n], added to every row of C; null: none
};

/// Depth of A that is rounded together.
inline constexpr std::int64_t pair_block = 1024;

/// Bytes of scratch for a product of these sizes, with `a_row` 1 if A is transposed. Such a B is [depth, n], not transposed, and C has no bias.
std::int64_t pair_scratch_bytes(std::int64_t m, std::int64_t depth, std::int64_t n, bool transposed_a = false);

/// Computes C. The same bits for any number of threads. Null below avx512; to be called only where declines_pair_product() is empty.
using RunPairProduct = void (*)(const PairProduct& work, core::Pool& pool, cpu::Isa isa, std::byte* scratch) noexcept;
extern const cpu::PerIsa<RunPairProduct> run_pair_product;

/// Why this processor or so small a product should be left to f32; empty if not.
std::string declines_pair_product(std::int64_t m, std::int64_t depth, std::int64_t n);

}  // namespace tailor::ops
