// Random inputs for the cases of operators, as ops::Case describes them; for tests.
#pragma once
#include <cmath>
#include <random>

#include "formats/panels.h"
#include "ops/support.h"

namespace tailor::ops {

/// Normal numbers; integers in [0, index_limit) where the format is no weights'.
inline core::Tensor random_tensor(const TensorType& type, std::int64_t index_limit, std::mt19937& random) {
    core::Tensor tensor = formats::make_tensor(*type.format, type.shape);
    std::normal_distribution<float> normal;
    std::uniform_int_distribution<std::int32_t> index(0, static_cast<std::int32_t>(index_limit - 1));
    std::vector<float> row(static_cast<std::size_t>(type.shape.width()));
    for (std::int64_t r = 0; r < type.shape.rows(); ++r) {
        for (float& v : row) v = type.format->weights ? normal(random) : static_cast<float>(index(random));
        type.format->encode(row.data(), nullptr, tensor.row(r), type.shape.width());
    }
    if (type.layout == core::Layout::panels) return formats::make_panels(tensor);
    return tensor;
}

/// Divisors, norms and the like must not be near zero: optional third inputs and vectors are made positive.
inline void keep_vectors_positive(const Case& c, std::vector<core::Tensor>& inputs) {
    for (std::size_t i = 1; i < inputs.size(); ++i)
        if (inputs[i] && inputs[i].shape.rank() == 1 && c.inputs[i].format->name == "f32")
            for (std::int64_t j = 0; j < inputs[i].shape[0]; ++j) inputs[i].row_f32(0)[j] = 1 + std::fabs(inputs[i].row_f32(0)[j]);
}

}  // namespace tailor::ops
