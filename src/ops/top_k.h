// What top_k_divergence and its gradient share: the check of the inputs, the definition's grouping of classes, and cases.
#pragma once
#include <limits>

#include "cpu/simd.h"
#include "ops/distillation.h"

namespace tailor::ops {

inline void require_top_k(const NodeView& node, std::size_t targets) {
    require_f32(node, 0);
    require_f32(node, 1);
    const std::int64_t rows = node.inputs[0].shape.rows(), k = node.inputs[2].shape.width();
    require(node.inputs[2].format->name == "i32" && node.inputs[2].shape == core::Shape{rows, k} && node.inputs[1].shape == core::Shape{rows, k + 1} && k <= node.inputs[0].shape.width(),
            "k ids and k + 1 logits per row of logits are needed", node);
    require_targets(node, targets);
    require_temperature(node);
}

/// Logarithms of shares of all classes to those of the k classes at `ids`, and of the rest together, the last.
inline std::vector<double> group_by_ids(const std::vector<double>& logs, const std::int32_t* ids, std::size_t k) {
    std::vector<double> result;
    double rest = 0;
    for (std::size_t i = 0, at = 0; i < logs.size(); ++i) {
        if (at < k && static_cast<std::size_t>(ids[at]) == i) result.push_back(logs[i]), ++at;
        else rest += std::exp(logs[i]);
    }
    result.push_back(std::log(rest));
    return result;
}

inline std::vector<Case> top_k_cases(bool with_gradient) {
    std::vector<Case> list;
    for (const double temperature : {1.0, 2.5})
        for (const std::int64_t rows : {1, 6, 50})
            for (const auto& [classes, k] : {std::pair<std::int64_t, std::int64_t>{7, 7}, {40, 1}, {1000, 30}}) {
                list.push_back({.inputs = {f32({rows, classes}), f32({rows, k + 1}), i32({rows, k})}, .attributes = {{"temperature", temperature}}, .index_limit = 1000});
                Case& c = list.back();
                if (with_gradient) c.inputs.push_back(f32({rows, 1}));
                if (rows == 6) c.inputs.push_back(i32({rows}));
                c.confine = [](std::span<const core::Tensor> inputs) {
                    const std::int64_t width = inputs[0].shape.width(), count = inputs[2].shape.width();
                    for (std::int64_t r = 0; r < inputs[0].shape.rows(); ++r) {
                        // Ascending and different: the i-th of k equal parts of the classes holds the i-th id.
                        for (std::int64_t i = 0; i < count; ++i) {
                            const std::int64_t first = i * width / count, size = (i + 1) * width / count - first;
                            inputs[2].row_i32(r)[i] = static_cast<std::int32_t>(first + inputs[2].row_i32(r)[i] % size);
                        }
                        if (count == width) inputs[1].row_f32(r)[count] = -std::numeric_limits<float>::infinity();
                        if (inputs.back().format->name == "i32" && inputs.back().shape.rank() == 1) inputs.back().row_i32(0)[r] = r % 3 ? 0 : -1;
                    }
                };
            }
    return list;
}

}  // namespace tailor::ops
