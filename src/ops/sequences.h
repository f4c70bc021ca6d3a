// The rows of a batch, sequence by sequence: for operators that see whole sequences at once, forwards or backwards.
//
// Rows of one sequence come in the order of their positions, but other sequences' rows may stand between them. Here the numbers of
// all rows are sorted by sequence, in memory that the caller has: kernels allocate nothing.
#pragma once
#include <algorithm>
#include <span>

#include "ops/support.h"

namespace tailor::ops {

/// Bytes that for_each_sequence needs, a multiple of 64.
inline std::int64_t sequence_rows_bytes(std::int64_t rows) { return (rows * static_cast<std::int64_t>(sizeof(std::int32_t)) + 63) / 64 * 64; }

/// The numbers of all rows, sorted by sequence and then as they come, written to `scratch` (sequence_rows_bytes).
inline std::span<const std::int32_t> sort_rows(const Batch& batch, std::int64_t rows, std::byte* scratch) noexcept {
    auto* const order = reinterpret_cast<std::int32_t*>(scratch);
    for (std::int64_t r = 0; r < rows; ++r) order[r] = static_cast<std::int32_t>(r);
    std::sort(order, order + rows, [&](std::int32_t a, std::int32_t b) {
        const std::int32_t first = batch.sequences[static_cast<std::size_t>(a)], second = batch.sequences[static_cast<std::size_t>(b)];
        return first != second ? first < second : a < b;
    });
    return {order, static_cast<std::size_t>(rows)};
}

/// Calls body(rows of one sequence) for each sequence among sorted rows.
template <class Body>
void for_each_sequence(const Batch& batch, std::span<const std::int32_t> sorted, const Body& body) {
    for (std::size_t first = 0; first < sorted.size();) {
        std::size_t end = first + 1;
        while (end < sorted.size() && batch.sequences[static_cast<std::size_t>(sorted[end])] == batch.sequences[static_cast<std::size_t>(sorted[first])]) ++end;
        body(sorted.subspan(first, end - first));
        first = end;
    }
}
template <class Body>
void for_each_sequence(const Call& call, std::int64_t rows, std::byte* scratch, const Body& body) {
    for_each_sequence(call.batch, sort_rows(call.batch, rows, scratch), body);
}

/// Rows of the longest sequence among sorted rows.
inline std::int64_t longest_sequence(const Batch& batch, std::span<const std::int32_t> sorted) noexcept {
    std::int64_t longest = 0;
    for_each_sequence(batch, sorted, [&](std::span<const std::int32_t> rows) { longest = std::max(longest, static_cast<std::int64_t>(rows.size())); });
    return longest;
}

}  // namespace tailor::ops
