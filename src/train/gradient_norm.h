// The size of all gradients together, by which they are clipped (Pascanu et al., "On the difficulty of training Recurrent Neural
// Networks", 2013, algorithm 1): the root of the sum of all squares, in double.
#pragma once
#include <span>

#include "core/pool.h"
#include "core/tensor.h"

namespace tailor::train {

/// The sum of squares of all gradients, which are f32; the same bits for any number of threads.
double sum_of_squares(std::span<const core::Tensor> gradients, core::Pool& pool);
/// The root of the sum of squares of all gradients.
double gradient_norm(std::span<const core::Tensor> gradients, core::Pool& pool);

/// True if a number of `tensor`, which is f32, is NaN or infinite.
bool has_not_finite(const core::Tensor& tensor, core::Pool& pool);

}  // namespace tailor::train
