// WTA-CRS: of a value that only gradients of weights read, three rows in ten are kept.
//
// The rows are drawn so that the gradients are right on average (ops/sample_rows.cpp): Liu et al., "Winner-Take-All Column Row Sampling for
// Memory Efficient Adaptation of Language Model", 2023, which finds 0.3 of the rows as good as all in fine-tuning. Gradients of activations
// stay exact, so noise does not add up from layer to layer. Other values have to go to another policy.
#include <algorithm>

#include "graph/policies/policy.h"

namespace tailor::graph::policies {

namespace {

bool takes_rows(const TrainingGraph& training, const SavedValue& saved) {
    constexpr std::int64_t least_rows = 16;  // fewer are no sample
    const Graph& graph = training.graph;
    const ops::TensorType& type = graph.node(saved.value).type;
    if (type.format->name != "f32" || type.shape.rank() != 2 || type.shape.rows() < least_rows) return false;
    const std::vector<Value>& readers = training.back_readers[static_cast<std::size_t>(saved.value)];
    return std::all_of(readers.begin(), readers.end(), [&](Value reader) {
        const Node& node = graph.node(reader);
        return node.op->name == "weight_gradient" && node.inputs[1] == saved.value && node.inputs[0] != saved.value;
    });
}

Value store(Graph& graph, Value value, Shelf*) { return graph.add("sample_rows", {value}, {{"count", graph.node(value).type.shape.rows() * 3 / 10}}); }

Value read(Graph& graph, const Node&, const std::vector<Value>& inputs, Value stored) { return graph.add("sampled_weight_gradient", {inputs[0], stored}); }

}  // namespace

namespace entries {
extern const Policy wta_crs = {
    .name = "wta-crs",
    .doc = "of values that only gradients of weights read, three rows in ten, drawn by their norms",
    .takes = &takes_rows,
    .store = &store,
    .read = &read,
};
}  // namespace entries

}  // namespace tailor::graph::policies
