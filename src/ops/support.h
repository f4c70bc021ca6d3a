// Small helpers shared by operator files: types, shape checks and double-precision rows for references.
#pragma once
#include <vector>

#include "core/error.h"
#include "formats/registry.h"
#include "ops/op.h"

namespace tailor::ops {

/// The type of f32 activations of this shape.
TensorType f32(core::Shape shape);
TensorType i32(core::Shape shape);
TensorType of(std::string_view format, core::Shape shape);

/// Throws Error(shape) with `what` unless `condition` holds.
void require(bool condition, std::string_view what, const NodeView& node);
/// Throws Error(shape) unless inputs[i] is present and f32.
void require_f32(const NodeView& node, std::size_t i);

/// Row `i` of a tensor of any format, decoded, in double.
std::vector<double> row_as_double(const core::Tensor& tensor, std::int64_t i);
/// Stores doubles into an f32 row.
void store_row(const core::Tensor& tensor, std::int64_t i, const std::vector<double>& values);

/// Cost of reading every f32/encoded input once and writing the output, plus `flops`.
Cost streaming_cost(const NodeView& node, double flops);

/// Rows per chunk for row-wise operators: about 16 KB of work, so that a small step stays on one thread.
std::int64_t rows_per_chunk(std::int64_t width);

}  // namespace tailor::ops
