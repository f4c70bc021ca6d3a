// Gradients: a pass that adds to a graph the nodes which compute derivatives of one of its values.
//
// Reverse mode (Linnainmaa, 1970): from the value back to what it was computed from, every node hands the gradient of its result on
// to its inputs by the rule in its operator's file (ops::Op::gradient), and a value that is read several times gets the sum. The
// rules add nodes of registered operators, so the result is a graph like any other: it is planned, fused, explained and run by
// the same means, and there is no other machinery for training.
//
// Batches are whole sequences from position 0. Gates are fused (passes.h) before gradients are added, or not at all: afterwards their
// parts have other readers.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace tailor::graph {

/// Adds nodes for the gradients with respect to `with_respect_to` of the f32 value `of`, given the gradient `seed` of a loss with
/// respect to `of` (a value of the same shape); `absent` stands for ones, so that a loss of one number needs none. One value for each,
/// of its shape; zeros where `of` does not depend on it. Throws Error(unsupported) naming the operator on the way that has none, and
/// Error(shape) for a value that is not f32 in rows.
std::vector<Value> add_gradients(Graph& graph, Value of, std::span<const Value> with_respect_to, Value seed = absent);

/// The constants of a graph that can be trained: matrices and vectors in f32 that a gradient reaches from `of`, in the order of the graph.
std::vector<Value> trainable(const Graph& graph, Value of);

}  // namespace tailor::graph
