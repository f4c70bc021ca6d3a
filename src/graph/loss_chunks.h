// The output matrix and the loss some rows at a time, so that the logits of all rows never lie in memory at once.
//
// Logits are the widest values of a language model, rows times the vocabulary, and only the loss and its gradient read them. The gradient of a row
// needs nothing of other rows, so both are done with a few rows before the next ones begin: Wijmans et al., "Cut Your Losses in
// Large-Vocabulary Language Models", 2024, whose kernels do by blocks what here are plain nodes. Nothing is computed twice. The
// gradient of the output matrix becomes a sum over the chunks, and its last bits differ from those of one product.
#pragma once
#include "graph/graph.h"

namespace tailor::graph {

/// Wherever a matmul's result is read by a cross_entropy (and its gradient) alone, `rows` of it at a time; a graph without one, or `rows` of 0,
/// comes back as it was. The node that `mark` names, if it does, is followed to where its place is then.
Graph chunk_loss(const Graph& graph, std::int64_t rows, Value* mark = nullptr);

}  // namespace tailor::graph
