// Greedy placement by size; see memory.h.
#include "graph/memory.h"

#include <algorithm>
#include <numeric>

#include "formats/format.h"

namespace tailor::graph {

ArenaLayout lay_out(const std::vector<Lifetime>& lifetimes) {
    ArenaLayout layout;
    layout.offsets.assign(lifetimes.size(), 0);
    std::vector<std::size_t> order(lifetimes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
    std::vector<std::size_t> placed;
    for (const std::size_t i : order) {
        const std::int64_t size = (lifetimes[i].bytes + 63) / 64 * 64;
        std::vector<std::pair<std::int64_t, std::int64_t>> taken;  // [begin, end) of buffers alive at the same time
        for (const std::size_t j : placed)
            if (lifetimes[i].first <= lifetimes[j].last && lifetimes[j].first <= lifetimes[i].last)
                taken.emplace_back(layout.offsets[j], layout.offsets[j] + (lifetimes[j].bytes + 63) / 64 * 64);
        std::sort(taken.begin(), taken.end());
        std::int64_t offset = 0;
        for (const auto& [begin, end] : taken) {
            if (begin - offset >= size) break;
            offset = std::max(offset, end);
        }
        layout.offsets[i] = offset;
        layout.bytes = std::max(layout.bytes, offset + size);
        placed.push_back(i);
    }
    return layout;
}

static std::vector<int> last_uses(const Graph& graph, const std::vector<int>& step_of, int steps) {
    std::vector<int> last(graph.nodes().size(), -1);
    for (std::size_t i = 0; i < last.size(); ++i)
        for (const Value v : graph.nodes()[i].inputs)
            if (v != absent) last[static_cast<std::size_t>(v)] = step_of[i];
    for (const Value v : graph.outputs()) last[static_cast<std::size_t>(v)] = steps;
    return last;
}

/// Whether node `i` may write over its first input.
static bool may_share(const Graph& graph, std::size_t i, const std::vector<int>& last_use, int now) {
    const Node& node = graph.nodes()[i];
    const Value first = node.inputs.empty() ? absent : node.inputs[0];
    if (!node.op->in_place || first == absent || !graph.node(first).op || last_use[static_cast<std::size_t>(first)] != now) return false;
    const ops::TensorType& type = graph.node(first).type;
    return type.shape == node.type.shape && type.format == node.type.format && std::count(node.inputs.begin(), node.inputs.end(), first) == 1;
}

Buffers buffers_of(const Graph& graph) {
    const std::size_t count = graph.nodes().size();
    Buffers buffers{.lifetimes = {}, .of_value = std::vector<int>(count, -1), .of_scratch = std::vector<int>(count, -1), .step_of = std::vector<int>(count, -1)};
    int steps = 0;
    for (std::size_t i = 0; i < count; ++i)
        if (graph.nodes()[i].op) buffers.step_of[i] = steps++;
    const std::vector<int> last_use = last_uses(graph, buffers.step_of, steps);
    for (std::size_t i = 0; i < count; ++i) {
        const Node& node = graph.nodes()[i];
        if (!node.op) continue;
        const int now = buffers.step_of[i], end = std::max(now, last_use[i]);
        if (may_share(graph, i, last_use, now)) {
            buffers.of_value[i] = buffers.of_value[static_cast<std::size_t>(node.inputs[0])];
            buffers.lifetimes[static_cast<std::size_t>(buffers.of_value[i])].last = end;
        } else {
            buffers.of_value[i] = static_cast<int>(buffers.lifetimes.size());
            // 64 bytes of slack let vector kernels read past the end of a row.
            buffers.lifetimes.push_back({formats::tensor_bytes(*node.type.format, node.type.shape) + 64, now, end});
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        const Node& node = graph.nodes()[i];
        if (!node.op || !node.op->scratch_bytes) continue;
        const std::vector<ops::TensorType> types = graph.input_types(node);
        buffers.of_scratch[i] = static_cast<int>(buffers.lifetimes.size());
        buffers.lifetimes.push_back({node.op->scratch_bytes({node.attributes, types, node.type}), buffers.step_of[i], buffers.step_of[i]});
    }
    return buffers;
}

Peak peak_of(const std::vector<Lifetime>& lifetimes) {
    int steps = 0;
    for (const Lifetime& life : lifetimes) steps = std::max(steps, life.last + 1);
    std::vector<std::int64_t> change(static_cast<std::size_t>(steps) + 1);
    for (const Lifetime& life : lifetimes) change[static_cast<std::size_t>(life.first)] += life.bytes, change[static_cast<std::size_t>(life.last) + 1] -= life.bytes;
    Peak peak;
    std::int64_t live = 0;
    for (int s = 0; s < steps; ++s)
        if (live += change[static_cast<std::size_t>(s)]; live > peak.bytes) peak = {live, s};
    return peak;
}

}  // namespace tailor::graph
