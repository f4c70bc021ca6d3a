// Pairs of a row and an expert sorted by expert, for the gradients of expert_matmul: each expert's rows become one product.
#pragma once
#include <algorithm>
#include <cstring>
#include <span>

#include "ops/op.h"

namespace tailor::ops {

/// Bytes that sort_pairs needs, a multiple of 64.
inline std::int64_t expert_rows_bytes(std::int64_t pairs, std::int64_t experts) { return ((pairs + experts + 1) * static_cast<std::int64_t>(sizeof(std::int32_t)) + 63) / 64 * 64; }

/// The pairs of each expert, as they come.
struct ExpertRows {
    std::int32_t *starts, *order;

    std::span<const std::int32_t> of(std::int64_t expert) const { return {order + starts[expert], static_cast<std::size_t>(starts[expert + 1] - starts[expert])}; }
};

/// Sorts by counting, so that equal ones keep their order. `scratch` holds the result.
inline ExpertRows sort_pairs(const std::int32_t* ids, std::int64_t pairs, std::int64_t experts, std::byte* scratch) noexcept {
    auto* const starts = reinterpret_cast<std::int32_t*>(scratch);
    std::int32_t* const order = starts + experts + 1;
    std::fill_n(starts, experts + 1, 0);
    for (std::int64_t p = 0; p < pairs; ++p) ++starts[ids[p] + 1];
    for (std::int64_t e = 0; e < experts; ++e) starts[e + 1] += starts[e];
    for (std::int64_t p = 0; p < pairs; ++p) order[starts[ids[p]]++] = static_cast<std::int32_t>(p);
    for (std::int64_t e = experts; e > 0; --e) starts[e] = starts[e - 1];  // each stands at its end now
    starts[0] = 0;
    return {starts, order};
}

/// Rows `numbers[i] / share` of x, one after the other, to `out`.
inline void gather_rows(const core::Tensor& x, std::span<const std::int32_t> numbers, std::int64_t share, float* out, core::Pool& pool) noexcept {
    const std::int64_t width = x.shape.width();
    pool.run(static_cast<std::int64_t>(numbers.size()), [&](std::int64_t i, int) {
        std::memcpy(out + i * width, x.row_f32(numbers[static_cast<std::size_t>(i)] / share), static_cast<std::size_t>(width) * sizeof(float));
    });
}

}  // namespace tailor::ops
