// What the operators of ops/recurrence.h share beside their kernels: where a head's columns are, why a kernel declines, the type and
// the cost of their state, and that state in double precision for references.
#include <cmath>

#include "ops/recurrence.h"

namespace tailor::ops {

HeadRows head_rows(const core::Tensor& tensor, std::int64_t heads, std::int64_t dim, bool tiled) {
    const std::int64_t groups = tensor.shape.width() / dim;
    return {tensor.row_f32(0), tensor.row_stride_bytes / static_cast<std::int64_t>(sizeof(float)), dim, tiled ? 1 : heads / groups, groups};
}

std::string declines_pairs(const NodeView& node, std::int64_t key_dim) {
    if (!cpu::has_avx512_bf16()) return "needs products of bf16 pairs (AVX512_BF16)";
    if (key_dim % 4 != 0) return core::format("made for keys of a multiple of 4 numbers, here are {}", key_dim);
    return declines_few_rows(node);
}

std::string declines_few_rows(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows >= least_chunk_rows ? "" : core::format("made for {} rows or more, here are {}", least_chunk_rows, rows);
}

std::vector<StateType> matrix_state(std::int64_t heads, std::int64_t key_dim, std::int64_t value_dim) {
    return {{"memory", {heads, key_dim, value_dim}, &formats::get("f32")}};
}

Cost recurrence_cost(const NodeView& node, std::int64_t state_elements, double products) {
    const auto elements = static_cast<double>(state_elements);
    Cost cost = streaming_cost(node, 2 * products * elements * static_cast<double>(node.inputs[0].shape.rows()));
    cost.bytes_read += 4 * elements, cost.bytes_written += 4 * elements;
    return cost;
}

StateInDouble::StateInDouble(const core::Tensor& state)
    : state_(state), slot_size_(state.shape.elements() / state.shape[0]), values_(state.row_f32(0), state.row_f32(0) + state.shape.elements()) {}

void StateInDouble::store() const {
    for (std::size_t i = 0; i < values_.size(); ++i) state_.row_f32(0)[i] = static_cast<float>(values_[i]);
}

void make_negative(const core::Tensor& tensor) {
    for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) tensor.row_f32(0)[i] = -std::fabs(tensor.row_f32(0)[i]);
}

}  // namespace tailor::ops
