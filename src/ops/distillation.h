// What the losses of distillation and their gradients share: checks of pairs of rows, rows that do not count, and cases.
#pragma once
#include <algorithm>
#include <cmath>

#include "ops/support.h"

namespace tailor::ops {

/// Inputs 0 and 1 are f32 of one shape [rows, width].
inline void require_pair(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    require(node.inputs[0].shape == node.inputs[1].shape, "two matrices of one shape are needed", node);
}

/// Input `i`, where it is given, is one i32 target per row.
inline void require_targets(const NodeView& node, std::size_t i) {
    const TensorType targets = node.input(i);
    require(!targets || (targets.format->name == "i32" && targets.shape.elements() == node.inputs[0].shape.rows()), "one i32 target per row is needed", node);
}

/// Input `i` is one f32 gradient per row.
inline void require_row_gradient(const NodeView& node, std::size_t i) {
    require_f32(node, i);
    require(node.inputs[i].shape.elements() == node.inputs[0].shape.rows() && node.inputs[i].shape.width() == 1, "one gradient per row is needed", node);
}

inline void require_temperature(const NodeView& node) { require(node.attributes.real("temperature", 1) > 0, "the temperature must be above 0", node); }

/// Whether row `r` counts: there are no targets at input `i`, or its target is not below 0.
inline bool counts(const Call& call, std::size_t i, std::int64_t r) noexcept { return !call.input(i) || call.inputs[i].row_i32(0)[r] >= 0; }

/// Row `r` divided by the temperature, less the logarithm of the sum of its exponentials.
inline std::vector<double> log_softmax(const core::Tensor& logits, std::int64_t r, double temperature) {
    std::vector<double> x = row_as_double(logits, r);
    for (double& v : x) v /= temperature;
    const double most = *std::max_element(x.begin(), x.end());
    double total = 0;
    for (const double v : x) total += std::exp(v - most);
    for (double& v : x) v -= most + std::log(total);
    return x;
}

/// Two matrices, a gradient per row if wanted, and targets in every other case, one of three below 0; once for each set of attributes.
inline std::vector<Case> pair_cases(bool with_gradient, const std::vector<Attributes>& attributes) {
    std::vector<Case> list;
    for (const Attributes& given : attributes)
        for (const std::int64_t rows : {1, 6, 70})
            for (const std::int64_t width : {1, 40, 3000}) {
                list.push_back({.inputs = {f32({rows, width}), f32({rows, width})}, .attributes = given});
                Case& c = list.back();
                if (with_gradient) c.inputs.push_back(f32({rows, 1}));
                if (rows != 6) continue;
                c.inputs.push_back(i32({rows}));
                c.confine = [](std::span<const core::Tensor> inputs) {
                    for (std::int64_t r = 0; r < inputs.back().shape.elements(); r += 3) inputs.back().row_i32(0)[r] = -1;
                };
            }
    return list;
}

}  // namespace tailor::ops
