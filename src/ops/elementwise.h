// What elementwise operators share: shape rule, cost, cases, and the split of the elements over threads.
#pragma once
#include <algorithm>

#include "ops/support.h"

namespace tailor::ops {

/// Every input has the shape of input 0 and is f32; so is the output.
inline TensorType elementwise_shape(const NodeView& node) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        require_f32(node, i);
        require(node.inputs[i].shape == node.inputs[0].shape, "elementwise inputs must have one shape", node);
    }
    return node.inputs[0];
}

inline Cost elementwise_cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.output.shape.elements())); }

/// The definition of an operator that applies one function to every number of its input.
template <double (*definition)(double)>
void function_reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> row = row_as_double(call.inputs[0], r);
        for (double& x : row) x = definition(x);
        store_row(call.output, r, row);
    }
}

template <int Inputs>
std::vector<Case> elementwise_cases() {
    std::vector<Case> list;
    for (const core::Shape shape : {core::Shape{1, 1}, core::Shape{1, 37}, core::Shape{3, 64}, core::Shape{5, 5000}})
        list.push_back({.inputs = std::vector<TensorType>(Inputs, f32(shape))});
    return list;
}

/// Calls body(row, begin, end) over column ranges of all rows: chunks of 4096 elements, the same for any thread count.
template <class Body>
void for_each_range(const Call& call, const Body& body) {
    constexpr std::int64_t chunk = 4096;
    const std::int64_t width = call.output.shape.width(), pieces = (width + chunk - 1) / chunk, rows = call.output.shape.rows();
    const std::int64_t rows_together = rows_per_chunk(width), groups = (rows + rows_together - 1) / rows_together;
    call.pool->run(groups * pieces, [&](std::int64_t c, int) {
        const std::int64_t group = c / pieces, begin = c % pieces * chunk;
        for (std::int64_t r = group * rows_together; r < std::min(rows, (group + 1) * rows_together); ++r)
            body(r, begin, std::min(width, begin + chunk));
    });
}

}  // namespace tailor::ops
