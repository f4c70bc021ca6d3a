// Reverse mode on graphs; see gradient.h.
#include "graph/gradient.h"

#include <algorithm>

#include "core/error.h"
#include "formats/registry.h"

namespace tailor::graph {

using core::ErrorKind;
using core::fail;

namespace {

/// The graph as the rules see it.
class Builder final : public ops::GraphBuilder {
  public:
    explicit Builder(Graph& graph) : graph_(graph) {}

    Value add(std::string_view op, std::vector<Value> inputs, ops::Attributes attributes) override { return graph_.add(op, std::move(inputs), std::move(attributes)); }
    ops::TensorType type(Value value) const override { return graph_.node(value).type; }
    Value filled(core::Shape shape, float number) override {
        const core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
        std::fill_n(tensor.row_f32(0), shape.elements(), number);
        return graph_.constant({}, tensor);
    }

    /// `value`, or its numbers in another shape of as many.
    Value in_shape(Value value, core::Shape shape) {
        const core::Shape found = graph_.node(value).type.shape;
        if (found == shape) return value;
        if (found.elements() != shape.elements()) fail(ErrorKind::bug, "a gradient of shape {} was given for a value of shape {}", found.text(), shape.text());
        ops::Attributes attributes{{"rank", std::int64_t{shape.rank()}}};
        for (int i = 0; i < shape.rank(); ++i) attributes.set(core::format("dimension_{}", i), shape[i]);
        return graph_.add("reshape", {value}, std::move(attributes));
    }

  private:
    Graph& graph_;
};

bool is_trainable(const ops::TensorType& type) { return type.format->name == "f32" && type.layout == core::Layout::rows; }

/// Which values depend on one of `sources`.
std::vector<bool> dependents(const Graph& graph, std::span<const Value> sources) {
    std::vector<bool> depends(graph.nodes().size());
    for (const Value v : sources) depends[static_cast<std::size_t>(v)] = true;
    for (std::size_t i = 0; i < depends.size(); ++i) {
        const Node& node = graph.nodes()[i];
        for (std::size_t input = 0; input < node.inputs.size(); ++input) {
            const Value v = node.inputs[input];
            const bool reached = v != absent && depends[static_cast<std::size_t>(v)] && is_trainable(graph.node(v).type) && !(node.op->tables >> input & 1U);
            if (reached) depends[i] = true;
        }
    }
    return depends;
}

class Reverse {
  public:
    Reverse(Graph& graph, std::span<const Value> sources) : graph_(graph), builder_(graph), depends_(dependents(graph, sources)), gradients_(graph.nodes().size(), absent) {}

    void seed(Value of, Value gradient) { gradients_[static_cast<std::size_t>(of)] = gradient; }

    /// Hands the gradient of node `i`, if it has one, on to its inputs.
    void visit(std::size_t i) {
        // Copies: nodes move when others are added.
        const ops::Op* const op = graph_.nodes()[i].op;
        if (!op || gradients_[i] == absent || !depends_[i]) return;
        const std::vector<Value> inputs = graph_.nodes()[i].inputs;
        const ops::Attributes attributes = graph_.nodes()[i].attributes;
        unsigned wanted = 0;
        for (std::size_t input = 0; input < inputs.size(); ++input) wanted |= wants(*op, inputs, input) ? 1U << input : 0U;
        if (!wanted) return;
        if (!op->gradient) fail(ErrorKind::unsupported, "{}the operator {} has no gradient: {}", title(graph_.nodes()[i]), op->name, op->not_differentiable);
        const std::vector<Value> given = op->gradient({builder_, attributes, inputs, static_cast<Value>(i), gradients_[i], wanted});
        for (std::size_t input = 0; input < inputs.size(); ++input)
            if (wanted >> input & 1U) {
                if (input >= given.size() || given[input] == absent) fail(ErrorKind::unsupported, "the operator {} has no gradient for its input {}", op->name, input);
                accumulate(inputs[input], given[input]);
            }
    }

    Value gradient_of(Value value) {
        const Value found = gradients_[static_cast<std::size_t>(value)];
        return found != absent ? found : builder_.filled(graph_.node(value).type.shape, 0);
    }

  private:
    bool wants(const ops::Op& op, const std::vector<Value>& inputs, std::size_t input) const {
        const Value v = inputs[input];
        return v != absent && !(op.tables >> input & 1U) && depends_[static_cast<std::size_t>(v)] && is_trainable(graph_.node(v).type);
    }

    static std::string title(const Node& node) { return node.name.empty() ? std::string() : node.name + ": "; }

    void accumulate(Value value, Value gradient) {
        gradient = builder_.in_shape(gradient, graph_.node(value).type.shape);
        Value& sum = gradients_[static_cast<std::size_t>(value)];
        sum = sum == absent ? gradient : graph_.add("add", {sum, gradient});
    }

    Graph& graph_;
    Builder builder_;
    std::vector<bool> depends_;      ///< of the nodes that were there before
    std::vector<Value> gradients_;
};

}  // namespace

std::vector<Value> add_gradients(Graph& graph, Value of, std::span<const Value> with_respect_to, Value seed) {
    for (const Value v : with_respect_to)
        if (!is_trainable(graph.node(v).type))
            fail(ErrorKind::shape, "a gradient was asked for '{}', which is {} and not f32 in rows", graph.node(v).name, graph.node(v).type.format->name);
    Reverse reverse(graph, with_respect_to);
    const core::Shape shape = graph.node(of).type.shape;
    if (seed != absent && graph.node(seed).type.shape.elements() != shape.elements())
        fail(ErrorKind::shape, "a gradient of shape {} cannot begin at a value of shape {}", graph.node(seed).type.shape.text(), shape.text());
    Builder builder(graph);
    reverse.seed(of, seed == absent ? builder.filled(shape, 1) : builder.in_shape(seed, shape));
    for (std::size_t i = static_cast<std::size_t>(of) + 1; i-- > 0;) reverse.visit(i);
    std::vector<Value> gradients;
    for (const Value v : with_respect_to) gradients.push_back(reverse.gradient_of(v));
    return gradients;
}

std::vector<Value> trainable(const Graph& graph, Value of) {
    std::vector<bool> reached(graph.nodes().size());
    reached[static_cast<std::size_t>(of)] = true;
    std::vector<Value> found;
    for (auto i = static_cast<std::size_t>(of) + 1; i-- > 0;) {
        const Node& node = graph.nodes()[i];
        if (!reached[i] || !is_trainable(node.type)) continue;
        if (node.is_constant()) found.push_back(static_cast<Value>(i));
        if (!node.op || !node.op->gradient) continue;
        for (std::size_t input = 0; input < node.inputs.size(); ++input)
            if (node.inputs[input] != absent && !(node.op->tables >> input & 1U)) reached[static_cast<std::size_t>(node.inputs[input])] = true;
    }
    std::reverse(found.begin(), found.end());
    return found;
}

}  // namespace tailor::graph
