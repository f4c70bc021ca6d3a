// Blocks by themselves: every layer of the student is given what the teacher's layer read and must leave behind what it left.
//
// The student's nodes between state i and state i + 1 are added once more, on the teacher's state i. Layers do not depend on each other then: all
// are trained at once, each by a short and clean gradient, and none learns to repair what another broke. Bercovich et al., "Puzzle", 2024,
// section 3.2. The relative squared error of each, and the mean over layers.
#include "core/error.h"
#include "train/losses/loss.h"

namespace tailor::train::losses {

/// Nodes that lie on a way from `from` to `to`, `to` among them.
static std::vector<bool> between(const graph::Graph& graph, graph::Value from, graph::Value to) {
    std::vector<bool> after(static_cast<std::size_t>(to) + 1), leads(static_cast<std::size_t>(to) + 1);
    after[static_cast<std::size_t>(from)] = true, leads[static_cast<std::size_t>(to)] = true;
    for (auto i = static_cast<std::size_t>(from) + 1; i < after.size(); ++i)
        for (const graph::Value v : graph.nodes()[i].inputs)
            if (v != graph::absent && after[static_cast<std::size_t>(v)]) after[i] = true;
    for (std::size_t i = after.size(); i-- > static_cast<std::size_t>(from);)
        if (leads[i])
            for (const graph::Value v : graph.nodes()[i].inputs)
                if (v != graph::absent) leads[static_cast<std::size_t>(v)] = true;
    for (std::size_t i = 0; i < after.size(); ++i) after[i] = after[i] && leads[i] && i > static_cast<std::size_t>(from);
    return after;
}

/// The nodes from `from` to `to` once more, with `instead` in the place of `from`.
static graph::Value repeat(graph::Graph& graph, graph::Value from, graph::Value to, graph::Value instead) {
    const std::vector<bool> inside = between(graph, from, to);
    std::vector<graph::Value> places(inside.size());
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<graph::Value>(i);
    places[static_cast<std::size_t>(from)] = instead;
    for (std::size_t i = 0; i < inside.size(); ++i) {
        if (!inside[i]) continue;
        graph::Node node = graph.nodes()[i];
        if (!node.name.empty()) node.name = "alone." + node.name;
        std::vector<graph::Value> inputs;
        for (const graph::Value v : node.inputs) inputs.push_back(v == graph::absent ? v : places[static_cast<std::size_t>(v)]);
        places[i] = graph.keep(node, inputs);
    }
    return places[static_cast<std::size_t>(to)];
}

static graph::Value add_blocks(Context& c) {
    std::vector<graph::Value> errors;
    for (std::size_t i = 0; i + 1 < c.student.size(); ++i) {
        if (c.student[i] == c.student[i + 1]) continue;  // a layer of which nothing is left
        if (!(c.graph.node(c.student[i]).type.shape == c.graph.node(c.teacher[i]).type.shape))
            core::fail(core::ErrorKind::usage, "the loss block gives layers of the student what the teacher's read, so both must have one width: {} and {}",
                       c.graph.node(c.student[i]).type.shape.width(), c.graph.node(c.teacher[i]).type.shape.width());
        errors.push_back(c.graph.add("relative_error", {repeat(c.graph, c.student[i], c.student[i + 1], c.teacher[i]), c.teacher[i + 1], c.ends.targets}));
    }
    return mean(c.graph, errors);
}

}  // namespace tailor::train::losses

namespace tailor::train::losses::entries {
extern const Loss block = {
    .name = "block",
    .doc = "relative squared error of each layer given the teacher's hidden state before it",
    .needs = Needs::states,
    .add = &add_blocks,
};
}  // namespace tailor::train::losses::entries
