// The order in which the nodes of a graph run, so that less memory is wanted at once.
//
// A gradient pass writes nodes down as it finds them: the product that reads a large value for the last time may stand behind one that makes
// another. Neighbours that do not need each other are exchanged where the larger of the two amounts of memory while they run becomes smaller,
// until there is no such pair. What is computed stays the same to the bit. (The best order of all is a hard problem: Sethi, "Complete
// register allocation problems", 1975.)
#pragma once
#include "graph/graph.h"

namespace tailor::graph {

/// The same nodes in an order that wants no more memory at any exchange than the one before.
Graph in_frugal_order(const Graph& graph);

}  // namespace tailor::graph
