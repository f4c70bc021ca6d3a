// A network as data: nodes in a vector, values as indices.
//
// A graph is built for a fixed number of rows (tokens); a family builds it anew for another number, which costs
// microseconds. Nodes stand in an order in which they can run. Passes are functions Graph -> Graph and never change what
// is computed. Weights are constants: tensors in any number format.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "ops/op.h"

namespace tailor::graph {

/// Index of a node, which has exactly one result; `absent` stands for an optional input that is not there.
using Value = std::int32_t;
inline constexpr Value absent = -1;

struct Node {
    const ops::Op* op = nullptr;  ///< nullptr: an input or a constant
    std::string name;             ///< unique where it is not empty: "token_ids", "blk.0.attn_q.weight", "blk.0.attention"
    std::vector<Value> inputs;
    ops::Attributes attributes;
    ops::TensorType type;   ///< of the result
    core::Tensor constant;  ///< the data of a constant

    bool is_constant() const { return !op && constant; }
    bool is_input() const { return !op && !constant; }
};

class Graph {
  public:
    /// A value the caller provides at every run.
    Value input(std::string name, ops::TensorType type);
    /// A tensor known when the plan is made: a weight.
    Value constant(std::string name, core::Tensor tensor);
    /// A node of a registered operator. Throws Error(shape) naming the node if the inputs do not fit.
    Value add(std::string_view op, std::vector<Value> inputs, ops::Attributes attributes = {}, std::string name = {});
    void output(Value value) { outputs_.push_back(value); }
    /// Gives the outputs and leaves the graph without any, for what is added to it to have others.
    std::vector<Value> take_outputs() { return std::exchange(outputs_, {}); }

    const std::vector<Node>& nodes() const { return nodes_; }
    const Node& node(Value value) const { return nodes_[static_cast<std::size_t>(value)]; }
    const std::vector<Value>& outputs() const { return outputs_; }
    /// The value of this name; `absent` if there is none.
    Value find(std::string_view name) const;

    /// Puts another tensor of the same shape in a constant's place.
    void replace_constant(Value value, const core::Tensor& tensor);

    /// The types of a node's inputs; absent ones have no format.
    std::vector<ops::TensorType> input_types(const Node& node) const;

    /// A copy in which `rewrite` may replace nodes: it is called once per node in order, with the graph under construction
    /// and the node's inputs already mapped, and returns the value that stands for the node. Returning graph.keep(node,
    /// inputs) copies it.
    Graph rewritten(const std::function<Value(Graph& target, const Node& node, const std::vector<Value>& inputs)>& rewrite) const;
    Value keep(const Node& node, const std::vector<Value>& inputs);

  private:
    std::vector<Node> nodes_;
    std::vector<Value> outputs_;
};

}  // namespace tailor::graph
