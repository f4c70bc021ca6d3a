// The pass that adds an adapter's products; see adapter.h.
#include "models/adapter.h"

namespace tailor::models {

using graph::Graph;
using graph::Node;

std::vector<AdaptableWeight> adaptable_weights(const Graph& graph) {
    std::vector<bool> multiplied(graph.nodes().size()), read_otherwise(multiplied);
    for (const Node& node : graph.nodes())
        for (std::size_t i = 0; node.op && i < node.inputs.size(); ++i)
            if (node.inputs[i] != graph::absent) (node.op->name == "matmul" && i == 1 ? multiplied : read_otherwise)[static_cast<std::size_t>(node.inputs[i])] = true;
    std::vector<AdaptableWeight> list;
    for (std::size_t v = 0; v < multiplied.size(); ++v) {
        const Node& node = graph.nodes()[v];
        if (node.is_constant() && multiplied[v] && !read_otherwise[v] && node.name.ends_with(".weight")) list.push_back({node.name, node.type.shape[0], node.type.shape[1]});
    }
    return list;
}

Graph add_adapter(const Graph& graph, const files::Adapter& adapter, const AdapterForm& form) {
    return graph.rewritten([&](Graph& target, const Node& node, const std::vector<graph::Value>& inputs) {
        const files::Adapter::Pair* const pair = node.op && node.op->name == "matmul" ? adapter.find(target.node(inputs[1]).name) : nullptr;
        if (!pair) return target.keep(node, inputs);
        const auto matrix = [&](const core::Tensor& tensor, std::string_view suffix) {
            const std::string name = pair->weight + std::string(suffix);
            const graph::Value found = target.find(name);  // of a weight that is read several times
            const graph::Value constant = found != graph::absent ? found : target.constant(name, tensor);
            return form ? form(target, constant) : constant;
        };
        const graph::Value base = target.keep(node, inputs), a = matrix(pair->a, files::adapter_a), b = matrix(pair->b, files::adapter_b);
        const std::string name = node.name.empty() ? pair->weight : node.name;
        const graph::Value narrow = target.add("matmul", {inputs[0], a}, {}, name + "_narrow");
        const graph::Value wide = target.add("matmul", {target.add("scale", {narrow}, {{"factor", adapter.factor(*pair)}}), b}, {}, name + "_wide");
        return target.add("add", {base, wide}, {}, name + "_adapted");
    });
}

}  // namespace tailor::models
