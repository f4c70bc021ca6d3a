// Many small matrix products as one: the rows of x sorted by expert, each expert's share multiplied by a kernel of matmul.
#pragma once
#include "ops/op.h"

namespace tailor::ops::expert_matmul_kernels {

/// The kernels of matmul for one expert: `many` for `many_from` rows or more, `few` below.
struct Products {
    const cpu::PerIsa<Run>* few;
    const cpu::PerIsa<Run>* many;
    std::int64_t many_from = 0;
};

/// Runs a node of expert_matmul.
void run_grouped(const Call& call, const Products& products) noexcept;
/// Bytes of Call::scratch that it needs, whatever the products; `pairs`: rows of the result.
std::int64_t grouped_scratch_bytes(std::int64_t pairs, std::int64_t experts, std::int64_t n, std::int64_t k);

/// Expert number `e` of a weight [experts, n, k] as a matrix, from row `first` of it, a multiple of 16.
core::Tensor expert_matrix(const core::Tensor& weight, std::int64_t e, std::int64_t first, std::int64_t count) noexcept;

}  // namespace tailor::ops::expert_matmul_kernels
