// Exchanging neighbours; see schedule.h.
#include "graph/schedule.h"

#include <algorithm>

#include "formats/format.h"

namespace tailor::graph {

namespace {

class Order {
  public:
    explicit Order(const Graph& graph) : graph_(graph), readers_left_(graph.nodes().size()), bytes_(graph.nodes().size()) {
        for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
            const Node& node = graph.nodes()[i];
            if (node.op) bytes_[i] = formats::tensor_bytes(*node.type.format, node.type.shape), order_.push_back(static_cast<Value>(i));
            inputs_.push_back(distinct(node));
        }
        for (const Value v : graph.outputs()) ++readers_left_[static_cast<std::size_t>(v)];
        for (const std::vector<Value>& inputs : inputs_)
            for (const Value v : inputs) ++readers_left_[static_cast<std::size_t>(v)];
    }

    /// One pass over all neighbours, in the order in which they run; true if some were exchanged.
    bool sweep() {
        std::vector<int> left = readers_left_;
        bool changed = false;
        for (std::size_t i = 0; i + 1 < order_.size(); ++i) {
            const Value a = order_[i], b = order_[i + 1];
            if (!reads(b, a) && larger(b, a, left) < larger(a, b, left)) std::swap(order_[i], order_[i + 1]), changed = true;
            for (const Value v : inputs_[static_cast<std::size_t>(order_[i])]) --left[static_cast<std::size_t>(v)];
        }
        return changed;
    }

    Graph written() const {
        Graph target;
        std::vector<Value> map(graph_.nodes().size(), absent);
        const auto write = [&](std::size_t i) {
            std::vector<Value> inputs;
            for (const Value v : graph_.nodes()[i].inputs) inputs.push_back(v == absent ? absent : map[static_cast<std::size_t>(v)]);
            map[i] = target.keep(graph_.nodes()[i], inputs);
        };
        for (std::size_t i = 0; i < map.size(); ++i)
            if (!graph_.nodes()[i].op) write(i);
        for (const Value v : order_) write(static_cast<std::size_t>(v));
        for (const Value v : graph_.outputs()) target.output(map[static_cast<std::size_t>(v)]);
        return target;
    }

  private:
    static std::vector<Value> distinct(const Node& node) {
        std::vector<Value> inputs;
        for (const Value v : node.inputs)
            if (v != absent && std::find(inputs.begin(), inputs.end(), v) == inputs.end()) inputs.push_back(v);
        return inputs;
    }

    bool reads(Value reader, Value value) const {
        const std::vector<Value>& inputs = inputs_[static_cast<std::size_t>(reader)];
        return std::find(inputs.begin(), inputs.end(), value) != inputs.end();
    }

    /// Bytes beyond those before, while `first` and then `second` run. `left`: readers of every value that are still to come.
    std::int64_t larger(Value first, Value second, const std::vector<int>& left) const {
        std::int64_t freed = 0;
        for (const Value v : inputs_[static_cast<std::size_t>(first)])
            if (left[static_cast<std::size_t>(v)] == 1) freed += bytes_[static_cast<std::size_t>(v)];
        const std::int64_t one = bytes_[static_cast<std::size_t>(first)];
        return std::max(one, one - freed + bytes_[static_cast<std::size_t>(second)]);
    }

    const Graph& graph_;
    std::vector<int> readers_left_;
    std::vector<std::int64_t> bytes_;
    std::vector<std::vector<Value>> inputs_;
    std::vector<Value> order_;
};

}  // namespace

Graph in_frugal_order(const Graph& graph) {
    Order order(graph);
    constexpr int most_sweeps = 20;  // two are usual
    for (int i = 0; i < most_sweeps && order.sweep(); ++i) {
    }
    return order.written();
}

}  // namespace tailor::graph
