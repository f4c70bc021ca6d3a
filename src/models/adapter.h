// Adapters in a graph: what stands beside frozen matrices (files/adapter.h), as nodes.
//
//     y = x W^T + bias    becomes    y + factor (x A^T) B^T
// for every product with a weight that has a pair. W stays as it is, in its own format; nothing of its size is computed. It is a pass,
// so that it holds for every family; running and training share it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "files/adapter.h"
#include "graph/graph.h"

namespace tailor::models {

/// What stands in the graph for a matrix of the adapter, a constant f32 or not: another value of its shape. Empty: the constant itself.
using AdapterForm = std::function<graph::Value(graph::Graph& target, graph::Value matrix)>;
/// The graph with the products of all pairs whose weight it has; the others are left out. Constants are named as in the file and view the
/// memory of `adapter`.
graph::Graph add_adapter(const graph::Graph& graph, const files::Adapter& adapter, const AdapterForm& form = {});

/// A weight that can have a pair.
struct AdaptableWeight {
    std::string name;
    std::int64_t outputs = 0, inputs = 0;
};
/// Weights that are read by matmul alone, in the order of the graph: a table that is also looked up in cannot change for one of its readers.
std::vector<AdaptableWeight> adaptable_weights(const graph::Graph& graph);

}  // namespace tailor::models
