// Thresholds from a text, and the graph that uses them; see sparsity.h.
#include "run/sparsity.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "formats/registry.h"

namespace tailor::run {

using core::ErrorKind;
using core::fail;

constexpr std::int64_t least_tokens = 32, most_tokens = 256;

namespace {

/// The values of a gated layer in a graph; not found() for a node that is the down product of none.
struct Parts {
    graph::Value activation = graph::absent, up = graph::absent;
    bool found() const { return up != graph::absent; }
};

bool is(const graph::Node& node, std::string_view op) { return node.op && node.op->name == op; }

// down = matmul(multiply(silu(gate), up), Wdown) with up = matmul(x, Wup), no biases.
Parts parts_of(const graph::Graph& graph, const graph::Node& down) {
    if (!is(down, "matmul") || down.inputs.size() != 2 || !graph.node(down.inputs[1]).is_constant()) return {};
    const graph::Node& product = graph.node(down.inputs[0]);
    if (!is(product, "multiply")) return {};
    for (std::size_t side = 0; side < 2; ++side) {
        const graph::Value activation = product.inputs[side], up = product.inputs[1 - side];
        const graph::Node& matmul = graph.node(up);
        if (is(graph.node(activation), "silu") && is(matmul, "matmul") && matmul.inputs.size() == 2 && graph.node(matmul.inputs[1]).is_constant()) return {activation, up};
    }
    return {};
}

/// Gates and what they let through, of one layer over a text.
struct Seen {
    std::vector<float> gates;     ///< |silu|, [tokens][neurons]
    std::vector<double> through;  ///< sum of |up| per neuron
    std::int64_t tokens = 0;
};

void look(const core::Tensor& gate, const core::Tensor& up, Seen& seen) {
    const std::int64_t neurons = gate.shape.width();
    seen.through.resize(static_cast<std::size_t>(neurons));
    for (std::int64_t r = 0; r < gate.shape.rows(); ++r, ++seen.tokens)
        for (std::int64_t i = 0; i < neurons; ++i) {
            const float g = gate.row_f32(r)[i];
            seen.gates.push_back(std::fabs(g / (1 + std::exp(-g))));
            seen.through[static_cast<std::size_t>(i)] += std::fabs(up.row_f32(r)[i]);
        }
}

core::Tensor thresholds_of(Seen& seen, const SparsityOptions& options) {
    const auto neurons = seen.through.size();
    std::vector<float> weight(neurons, 1.0f);
    if (options.rule == "chess")
        for (std::size_t i = 0; i < neurons; ++i) weight[i] = static_cast<float>(std::max(seen.through[i] / static_cast<double>(seen.tokens), 1e-12));
    for (std::size_t n = 0; n < seen.gates.size(); ++n) seen.gates[n] *= weight[n % neurons];
    const auto place = seen.gates.begin() + static_cast<std::ptrdiff_t>(options.share * static_cast<double>(seen.gates.size() - 1));
    std::nth_element(seen.gates.begin(), place, seen.gates.end());
    const core::Tensor thresholds = formats::make_tensor(formats::get("f32"), {static_cast<std::int64_t>(neurons)});
    for (std::size_t i = 0; i < neurons; ++i) thresholds.row_f32(0)[i] = *place / weight[i];
    return thresholds;
}

core::Tensor transposed(const core::Tensor& weight, cpu::Isa isa) {
    const std::int64_t rows = weight.shape[0], columns = weight.shape[1];
    const bool single = weight.format->values_per_block == 1;
    const formats::Format& format = single ? *weight.format : formats::get(rows % 32 == 0 ? "q8_0" : "f16");
    const core::Tensor result = formats::make_tensor(format, {columns, rows});
    // Some columns at a time, so that decoded numbers take little room.
    constexpr std::int64_t columns_at_once = 256;
    std::vector<float> row(static_cast<std::size_t>(columns)), part(static_cast<std::size_t>(columns_at_once * rows));
    for (std::int64_t first = 0; first < columns; first += columns_at_once) {
        const std::int64_t count = std::min(columns_at_once, columns - first);
        for (std::int64_t r = 0; r < rows; ++r) {
            weight.format->decode.at(isa)(weight.row(r), row.data(), columns);
            for (std::int64_t c = 0; c < count; ++c) part[static_cast<std::size_t>(c * rows + r)] = row[static_cast<std::size_t>(first + c)];
        }
        for (std::int64_t c = 0; c < count; ++c) format.encode(part.data() + c * rows, nullptr, result.row(first + c), rows);
    }
    return result;
}

}  // namespace

Sparsity::Sparsity(Session& session, std::span<const text::TokenId> ids, const SparsityOptions& options) {
    if (!(options.share > 0 && options.share < 1)) fail(ErrorKind::usage, "the share of neurons to leave out must be above 0 and below 1, not {}", options.share);
    if (options.rule != "cats" && options.rule != "chess") fail(ErrorKind::usage, "there is no rule of sparsity '{}'; there are: cats, chess", options.rule);
    if (static_cast<std::int64_t>(ids.size()) < least_tokens) fail(ErrorKind::usage, "thresholds need a text of {} tokens or more, this one has {}", least_tokens, ids.size());
    ids = ids.first(static_cast<std::size_t>(std::min({static_cast<std::int64_t>(ids.size()), most_tokens, session.options().batch, session.context()})));
    std::map<std::string, Seen> seen;
    session.reset();
    session.set_runner([&](graph::Plan& plan, const ops::Batch& batch) {
        plan.run_observed(batch, [&](const graph::Node& node, std::span<const core::Tensor> inputs) {
            if (is(node, "swiglu") && !node.name.empty()) look(inputs[0], inputs[1], seen[node.name]);
        });
    });
    session.evaluate(ids);
    session.set_runner({});
    session.reset();

    const models::Weights& weights = session.model().weights();
    const graph::Graph graph = models::build(session.model().family(), weights, 1, 1, session.context());
    for (const graph::Node& node : graph.nodes()) {
        const Parts parts = parts_of(graph, node);
        if (!parts.found()) continue;
        const auto it = seen.find(graph.node(node.inputs[0]).name);
        if (it == seen.end()) continue;
        const std::string &up = graph.node(graph.node(parts.up).inputs[1]).name, &down = graph.node(node.inputs[1]).name;
        layers_[node.name] = {thresholds_of(it->second, options), weights.find(up), transposed(weights.find(down), session.options().isa)};
        weights.forget(down);
        core::check_interrupt();
    }
    if (layers_.empty())
        fail(ErrorKind::unsupported, "{}: the {} family has no feed-forward layer of the form down(silu(gate) * up) without biases", session.model().file().path(), session.model().family().name);
}

graph::Graph Sparsity::apply(const graph::Graph& graph) const {
    std::size_t index = 0;
    return graph.rewritten([&](graph::Graph& target, const graph::Node& node, const std::vector<graph::Value>& inputs) {
        const graph::Node& original = graph.nodes()[index++];
        const auto layer = layers_.find(node.name);
        const Parts parts = layer == layers_.end() || original.type.shape.rows() != 1 ? Parts{} : parts_of(target, [&] {
            graph::Node mapped = node;
            mapped.inputs = inputs;
            return mapped;
        }());
        if (!parts.found()) return target.keep(node, inputs);
        const Layer& l = layer->second;
        const graph::Value x = target.node(parts.up).inputs[0];
        const graph::Value up = target.constant(node.name + ".up_rows", l.up), down = target.constant(node.name + ".down_transposed", l.down), thresholds = target.constant(node.name + ".thresholds", l.thresholds);
        return target.add("sparse_feed_forward", {parts.activation, x, up, down, thresholds}, {}, node.name);
    });
}

std::uint64_t Sparsity::bytes() const {
    std::uint64_t total = 0;
    for (const auto& [name, layer] : layers_)
        for (const core::Tensor* const tensor : {&layer.thresholds, &layer.up, &layer.down}) total += static_cast<std::uint64_t>(formats::tensor_bytes(*tensor->format, tensor->shape));
    return total;
}

}  // namespace tailor::run
