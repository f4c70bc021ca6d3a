// Finding the output matrix, and rewriting it; see loss_chunks.h.
#include "graph/loss_chunks.h"

#include <algorithm>

#include "core/error.h"

namespace tailor::graph {

namespace {

/// The nodes around one matrix of logits; absent where a graph has no such node.
struct Output {
    Value logits = absent, losses = absent, slope = absent;  ///< matmul, cross_entropy, cross_entropy_gradient
    Value to_rows = absent, to_weight = absent;              ///< what the gradient of the logits hands back: matmul_transposed, weight_gradient
};

bool is(const Graph& graph, Value value, std::string_view op) { return graph.node(value).op && graph.node(value).op->name == op; }

std::vector<std::vector<Value>> readers_of(const Graph& graph) {
    std::vector<std::vector<Value>> readers(graph.nodes().size());
    for (std::size_t i = 0; i < readers.size(); ++i)
        for (const Value v : graph.nodes()[i].inputs)
            if (v != absent) readers[static_cast<std::size_t>(v)].push_back(static_cast<Value>(i));
    for (const Value v : graph.outputs()) readers[static_cast<std::size_t>(v)].push_back(absent);
    return readers;
}

/// The nodes that read `logits`, if all of them are known; otherwise nothing is.
Output around(const Graph& graph, const std::vector<std::vector<Value>>& readers, Value logits) {
    Output found{.logits = logits};
    if (!is(graph, logits, "matmul") || graph.node(logits).inputs.size() != 2) return {};
    for (const Value reader : readers[static_cast<std::size_t>(logits)]) {
        if (reader == absent || graph.node(reader).inputs[0] != logits) return {};
        if (is(graph, reader, "cross_entropy") && found.losses == absent) found.losses = reader;
        else if (is(graph, reader, "cross_entropy_gradient") && found.slope == absent) found.slope = reader;
        else return {};
    }
    if (found.losses == absent || found.slope == absent) return found.slope == absent && found.losses != absent ? found : Output{};
    const std::vector<Value>& matmul = graph.node(logits).inputs;
    for (const Value reader : readers[static_cast<std::size_t>(found.slope)]) {
        if (reader == absent || graph.node(reader).inputs[0] != found.slope) return {};
        const Value other = graph.node(reader).inputs[1];
        if (is(graph, reader, "matmul_transposed") && other == matmul[1] && found.to_rows == absent) found.to_rows = reader;
        else if (is(graph, reader, "weight_gradient") && other == matmul[0] && found.to_weight == absent) found.to_weight = reader;
        else return {};
    }
    return found;
}

/// A stretch of the rows of a value, or of its numbers where it has one dimension.
Value rows_of(Graph& graph, Value value, std::int64_t first, std::int64_t count) {
    const core::Shape shape = graph.node(value).type.shape;
    const std::int64_t width = shape.rank() == 1 ? 1 : shape.width();
    ops::Attributes attributes{{"rank", std::int64_t{std::min(shape.rank(), 2)}}, {"begin", first * width}, {"dimension_0", count}};
    if (shape.rank() > 1) attributes.set("dimension_1", width);
    return graph.add("reshape", {value}, std::move(attributes));
}

/// Rows under rows: as one long row, then in their shape again.
Value stacked(Graph& graph, const std::vector<Value>& parts) {
    Value all = absent;
    std::int64_t numbers = 0;
    const std::int64_t width = graph.node(parts[0]).type.shape.width();
    for (const Value part : parts) {
        const std::int64_t count = graph.node(part).type.shape.elements();
        const Value row = graph.add("reshape", {part}, {{"rank", std::int64_t{2}}, {"dimension_0", std::int64_t{1}}, {"dimension_1", count}});
        all = all == absent ? row : graph.add("join", {all, row});
        numbers += count;
    }
    return graph.add("reshape", {all}, {{"rank", std::int64_t{2}}, {"dimension_0", numbers / width}, {"dimension_1", width}});
}

/// The values that stand for those of an Output.
struct Written {
    Value losses = absent, to_rows = absent, to_weight = absent;
};

/// `rows` at a time, each chunk to its end; `place` gives the values of the graph that is being written.
template <class Place>
Written write_chunks(Graph& target, const Graph& graph, const Output& output, std::int64_t rows, const Place& place) {
    const Value x = place(graph.node(output.logits).inputs[0]), weight = place(graph.node(output.logits).inputs[1]);
    const Value targets = place(graph.node(output.losses).inputs[1]), seed = output.slope == absent ? absent : place(graph.node(output.slope).inputs[2]);
    const std::int64_t all = target.node(x).type.shape.rows();
    std::vector<Value> losses, to_rows;
    Written written;
    for (std::int64_t first = 0; first < all; first += rows) {
        const std::int64_t count = std::min(rows, all - first);
        const Value x_part = rows_of(target, x, first, count), targets_part = rows_of(target, targets, first, count);
        const Value logits = target.add("matmul", {x_part, weight}, graph.node(output.logits).attributes);
        losses.push_back(target.add("cross_entropy", {logits, targets_part}, graph.node(output.losses).attributes));
        if (seed == absent) continue;
        const Value slope = target.add("cross_entropy_gradient", {logits, targets_part, rows_of(target, seed, first, count)}, graph.node(output.slope).attributes);
        if (output.to_rows != absent) to_rows.push_back(target.add("matmul_transposed", {slope, weight}, graph.node(output.to_rows).attributes));
        if (output.to_weight == absent) continue;
        const Value part = target.add("weight_gradient", {slope, x_part}, graph.node(output.to_weight).attributes);
        written.to_weight = written.to_weight == absent ? part : target.add("add", {written.to_weight, part});
    }
    written.losses = stacked(target, losses);
    if (!to_rows.empty()) written.to_rows = stacked(target, to_rows);
    return written;
}

}  // namespace

Graph chunk_loss(const Graph& graph, std::int64_t rows, Value* mark) {
    const std::vector<std::vector<Value>> readers = readers_of(graph);
    Output output;
    for (std::size_t i = 0; i < graph.nodes().size() && output.logits == absent; ++i)
        if (const Output found = around(graph, readers, static_cast<Value>(i)); found.logits != absent && graph.nodes()[i].type.shape.rows() > rows) output = found;
    if (output.logits == absent || rows <= 0) return graph;
    // What a chunk's gradient begins with stands before that node, so all chunks go where it stood; without gradients, where the losses did.
    const Value here = output.slope == absent ? output.losses : output.slope;
    Graph target;
    std::vector<Value> map(graph.nodes().size(), absent);
    const auto place = [&](Value v) { return v == absent ? absent : map[static_cast<std::size_t>(v)]; };
    Value marked = absent;
    for (std::size_t i = 0; i < map.size(); ++i) {
        const auto value = static_cast<Value>(i);
        if (mark && value == *mark) marked = static_cast<Value>(target.nodes().size());
        if (value == here) {
            const Written written = write_chunks(target, graph, output, rows, place);
            for (const auto& [old, now] : {std::pair{output.losses, written.losses}, std::pair{output.to_rows, written.to_rows}, std::pair{output.to_weight, written.to_weight}})
                if (old != absent) map[static_cast<std::size_t>(old)] = now;
            continue;
        }
        const bool replaced = value == output.logits || value == output.losses || value == output.to_rows || value == output.to_weight;
        if (replaced) continue;
        std::vector<Value> inputs;
        for (const Value v : graph.nodes()[i].inputs) inputs.push_back(place(v));
        map[i] = target.keep(graph.nodes()[i], inputs);
    }
    for (const Value v : graph.outputs()) target.output(place(v));
    if (mark) *mark = marked;
    return target;
}

}  // namespace tailor::graph
