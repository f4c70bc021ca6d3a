// The passes, each one sentence of intent and a rewrite; see passes.h.
#include "graph/passes.h"

#include "formats/panels.h"
#include "ops/registry.h"

namespace tailor::graph {

// How many nodes and outputs read each value.
static std::vector<int> count_readers(const Graph& graph) {
    std::vector<int> readers(graph.nodes().size());
    for (const Node& node : graph.nodes())
        for (const Value v : node.inputs)
            if (v != absent) ++readers[static_cast<std::size_t>(v)];
    for (const Value v : graph.outputs()) ++readers[static_cast<std::size_t>(v)];
    return readers;
}

std::vector<std::string> weights_for_panels(const Graph& graph) {
    std::vector<int> wanted(graph.nodes().size()), refused(wanted);
    for (const Node& node : graph.nodes())
        for (std::size_t i = 0; node.op && i < node.inputs.size(); ++i) {
            if (node.inputs[i] == absent) continue;
            const auto value = static_cast<std::size_t>(node.inputs[i]);
            wanted[value] += node.op->weight_input == static_cast<int>(i);
            refused[value] += !(node.op->panel_inputs >> i & 1);
        }
    std::vector<std::string> names;
    for (std::size_t v = 0; v < wanted.size(); ++v) {
        const Node& node = graph.nodes()[v];
        if (node.is_constant() && wanted[v] && !refused[v] && formats::has_panels(*node.type.format)) names.push_back(node.name);
    }
    return names;
}

Graph remove_dead(const Graph& graph) {
    std::vector<bool> alive(graph.nodes().size());
    for (const Value v : graph.outputs()) alive[static_cast<std::size_t>(v)] = true;
    for (std::size_t i = graph.nodes().size(); i-- > 0;)
        if (alive[i])
            for (const Value v : graph.nodes()[i].inputs)
                if (v != absent) alive[static_cast<std::size_t>(v)] = true;
    std::size_t index = 0;
    return graph.rewritten([&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
        // Inputs stay: the caller binds them by name whether they are read or not.
        return alive[index++] || node.is_input() ? target.keep(node, inputs) : absent;
    });
}

Graph fuse_gate(const Graph& graph) {
    const std::vector<int> readers = count_readers(graph);
    const std::pair<const ops::Op*, std::string_view> gates[] = {
        {&ops::get("silu"), "swiglu"}, {&ops::get("gelu"), "geglu"}, {&ops::get("relu"), "reglu"}, {&ops::get("sigmoid"), "glu"}};
    const ops::Op* const multiply = &ops::get("multiply");
    std::size_t index = 0;
    return graph.rewritten([&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
        const Node& original = graph.nodes()[index++];
        if (node.op == multiply)
            for (std::size_t side = 0; side < 2; ++side)
                for (const auto& [activation, fused] : gates) {
                    const Value gate = original.inputs[side];
                    if (graph.node(gate).op != activation || readers[static_cast<std::size_t>(gate)] != 1) continue;
                    const Value before_activation = target.node(inputs[side]).inputs[0];
                    return target.add(fused, {before_activation, inputs[1 - side]}, {}, node.name);
                }
        return target.keep(node, inputs);
    });
}

Graph optimize(const Graph& graph) {
    // The gate of a feed-forward layer in one pass over memory.
    const Graph fused = fuse_gate(graph);
    // What the fusion left behind, and whatever a family built but did not use.
    return remove_dead(fused);
}

}  // namespace tailor::graph
