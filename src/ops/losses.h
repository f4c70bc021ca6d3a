// What losses and their gradients share: the check of logits and targets, and the cases.
#pragma once
#include "ops/support.h"

namespace tailor::ops {

/// Inputs 0 and 1 are f32 logits [rows, classes] and one i32 target per row.
inline void require_losses(const NodeView& node) {
    require_f32(node, 0);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.elements() == node.inputs[0].shape.rows(), "one i32 target per row of logits is needed", node);
}

/// Few and many rows and classes; with a gradient per row or without.
inline std::vector<Case> loss_cases(bool with_gradient) {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 5, 70})
        for (const std::int64_t classes : {1, 40, 3000}) {
            list.push_back({.inputs = {f32({rows, classes}), i32({rows})}, .index_limit = classes});
            if (with_gradient) list.back().inputs.push_back(f32({rows, 1}));
            // One row in three counts nothing.
            if (rows == 5)
                list.back().confine = [](std::span<const core::Tensor> inputs) {
                    for (std::int64_t r = 0; r < inputs[1].shape.elements(); r += 3) inputs[1].row_i32(0)[r] = -1;
                };
        }
    return list;
}

}  // namespace tailor::ops
