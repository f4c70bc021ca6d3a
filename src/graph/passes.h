// Passes: functions Graph -> Graph that make a graph cheaper to run without changing what it computes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace tailor::graph {

/// multiply(silu(gate), up) becomes swiglu(gate, up), likewise gelu geglu, relu reglu and sigmoid glu, when nothing else reads the
/// activation's result.
Graph fuse_gate(const Graph& graph);
/// Drops nodes that no output depends on.
Graph remove_dead(const Graph& graph);

/// Names of the constants that are best put in panels (formats/panels.h): only operators read them that take panels, at least one of
/// which wants them so.
std::vector<std::string> weights_for_panels(const Graph& graph);

/// The passes every plan applies, in order.
Graph optimize(const Graph& graph);

}  // namespace tailor::graph
