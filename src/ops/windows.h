// Helpers of operators that look back a fixed number of rows: which row of a step is another's predecessor, and the state that
// holds the last rows of each sequence.
#pragma once
#include <algorithm>
#include <cstring>

#include "ops/support.h"

namespace tailor::ops {

/// The latest row before `row` of the same sequence in this step; -1 if there is none.
inline std::int64_t previous_row(const Batch& batch, std::int64_t row) noexcept {
    const std::int32_t sequence = batch.sequences[static_cast<std::size_t>(row)];
    for (std::int64_t r = row - 1; r >= 0; --r)
        if (batch.sequences[static_cast<std::size_t>(r)] == sequence) return r;
    return -1;
}

/// Calls body(sequence, first, end) for every run of neighbouring rows of one sequence, in order.
template <class Body>
void for_each_run(const Batch& batch, std::int64_t rows, const Body& body) {
    for (std::int64_t first = 0; first < rows;) {
        const std::int32_t sequence = batch.sequences[static_cast<std::size_t>(first)];
        std::int64_t end = first + 1;
        while (end < rows && batch.sequences[static_cast<std::size_t>(end)] == sequence) ++end;
        body(sequence, first, end);
        first = end;
    }
}

/// The type of a window of the last `count` rows, oldest first.
inline std::vector<StateType> window_state(std::int64_t count, std::int64_t width) { return {{"window", {count, width}, &formats::get("f32")}}; }

/// Row `i` of the window of a sequence, oldest first.
inline float* window_row(const core::Tensor& window, std::int64_t sequence, std::int64_t i) { return window.row_f32(sequence * window.shape[1] + i); }

/// Puts the rows of the step into the windows.
inline void slide_windows(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &window = call.states[0];
    const std::int64_t count = window.shape[1];
    const auto bytes = static_cast<std::size_t>(x.shape.width()) * sizeof(float);
    for_each_run(call.batch, x.shape.rows(), [&](std::int64_t sequence, std::int64_t first, std::int64_t end) {
        const std::int64_t fresh = std::min(count, end - first);
        for (std::int64_t i = 0; i < count - fresh; ++i) std::memcpy(window_row(window, sequence, i), window_row(window, sequence, i + fresh), bytes);
        for (std::int64_t i = 0; i < fresh; ++i) std::memcpy(window_row(window, sequence, count - fresh + i), x.row_f32(end - fresh + i), bytes);
    });
}

/// The row `back` rows before row `row` of the step, in the step or in the window from before it.
inline const float* row_before(const Call& call, std::int64_t row, std::int64_t back) noexcept {
    const core::Tensor& window = call.states[0];
    const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(row)];
    for (; back > 0; --back) {
        const std::int64_t before = previous_row(call.batch, row);
        if (before < 0) return window_row(window, sequence, window.shape[1] - back);
        row = before;
    }
    return call.inputs[0].row_f32(row);
}

}  // namespace tailor::ops
