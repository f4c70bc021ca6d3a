// Building, looking up and rewriting graphs; see graph.h.
#include "graph/graph.h"

#include "core/error.h"
#include "ops/registry.h"

namespace tailor::graph {

using core::ErrorKind;
using core::fail;

Value Graph::input(std::string name, ops::TensorType type) {
    nodes_.push_back({.name = std::move(name), .type = std::move(type)});
    return static_cast<Value>(nodes_.size() - 1);
}

Value Graph::constant(std::string name, core::Tensor tensor) {
    if (const Value existing = find(name); existing != absent && node(existing).constant.data == tensor.data) return existing;
    nodes_.push_back({.name = std::move(name), .type = {tensor.format, tensor.shape, tensor.layout}, .constant = std::move(tensor)});
    return static_cast<Value>(nodes_.size() - 1);
}

std::vector<ops::TensorType> Graph::input_types(const Node& n) const {
    std::vector<ops::TensorType> types;
    for (const Value v : n.inputs) types.push_back(v == absent ? ops::TensorType{} : node(v).type);
    return types;
}

Value Graph::add(std::string_view op_name, std::vector<Value> inputs, ops::Attributes attributes, std::string name) {
    const ops::Op& op = ops::get(op_name);
    while (!inputs.empty() && inputs.back() == absent) inputs.pop_back();
    const auto count = static_cast<int>(inputs.size());
    if (count < op.least_inputs || count > op.most_inputs)
        fail(ErrorKind::bug, "{} '{}' was given {} inputs; it takes {} to {}", op_name, name, count, op.least_inputs, op.most_inputs);
    Node node{.op = &op, .name = std::move(name), .inputs = std::move(inputs), .attributes = std::move(attributes)};
    const std::vector<ops::TensorType> types = input_types(node);
    try {
        node.type = op.shape({node.attributes, types, {}});
    } catch (const core::Error& error) {
        if (node.name.empty()) throw;
        throw core::Error(error.kind(), node.name + ": " + error.what());
    }
    nodes_.push_back(std::move(node));
    return static_cast<Value>(nodes_.size() - 1);
}

Value Graph::find(std::string_view name) const {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        if (nodes_[i].name == name && !name.empty()) return static_cast<Value>(i);
    return absent;
}

void Graph::replace_constant(Value value, const core::Tensor& tensor) {
    Node& node = nodes_[static_cast<std::size_t>(value)];
    node.constant = tensor;
    node.type = {tensor.format, tensor.shape, tensor.layout};
}

Value Graph::keep(const Node& node, const std::vector<Value>& inputs) {
    nodes_.push_back(node);
    nodes_.back().inputs = inputs;
    return static_cast<Value>(nodes_.size() - 1);
}

Graph Graph::rewritten(const std::function<Value(Graph&, const Node&, const std::vector<Value>&)>& rewrite) const {
    Graph target;
    std::vector<Value> map(nodes_.size(), absent);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        std::vector<Value> inputs;
        for (const Value v : nodes_[i].inputs) inputs.push_back(v == absent ? absent : map[static_cast<std::size_t>(v)]);
        map[i] = rewrite(target, nodes_[i], inputs);
    }
    for (const Value v : outputs_) target.output(map[static_cast<std::size_t>(v)]);
    return target;
}

}  // namespace tailor::graph
