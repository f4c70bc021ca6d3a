// The plain product of two matrices, C = A B, that gradients are made of: unlike matmul's weights, B lies as it is multiplied.
//
//     gradient of x:       dX = dY W      A = dY,    B = W [n, k], decoded row by row whatever its format and layout
//     gradient of W:       dW = dY^T X    A = dY^T,  B = X [rows, k]
// so A may be transposed and B may be encoded, and in neither case is anything but small blocks rearranged.
#pragma once
#include "ops/op.h"

namespace tailor::ops {

struct Product {
    const float* a = nullptr;                ///< element (i, p) at a[i * a_row + p * a_depth], for i < m and p < depth
    std::int64_t a_row = 0, a_depth = 0;     ///< in numbers; one of both is 1
    core::Tensor b;                          ///< [depth, n], rows or panels of any format
    float* c = nullptr;                      ///< [m][c_row]
    std::int64_t c_row = 0;
    std::int64_t m = 0;
};

/// `count` numbers of row `row` of B from `column` on, decoded to `out`; `column` is a multiple of 256, or of 64 where blocks are no longer.
void read_product_row(const core::Tensor& b, std::int64_t row, std::int64_t column, std::int64_t count, cpu::Isa isa, float* out) noexcept;

/// Bytes of scratch for a product with this m and depth.
std::int64_t product_scratch_bytes(std::int64_t m, std::int64_t depth);

/// Computes C. The same bits for any number of threads.
using RunProduct = void (*)(const Product& product, core::Pool& pool, cpu::Isa isa, std::byte* scratch) noexcept;
extern const cpu::PerIsa<RunProduct> run_product;

}  // namespace tailor::ops
