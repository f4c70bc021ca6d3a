// A small model of any family (tiny_family.h) with a loss over all rows of two sequences, and its inputs: what tests of gradients run.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "graph/gradient.h"
#include "graph/passes.h"
#include "graph/plan.h"
#include "models/tiny_family.h"
#include "ops/support.h"

namespace tailor::models::testing {

struct TinyTraining {
    graph::Graph graph;  ///< its outputs: the logits
    graph::Value loss = graph::absent;
    std::vector<graph::Value> weights;  ///< those that can be trained
    std::vector<std::int32_t> ids, positions, sequences, wanted, targets;

    /// A third of the rows are of the second sequence.
    TinyTraining(const files::File& file, std::int64_t rows, int threads) : rows_(rows), pool_(threads) {
        graph = graph::optimize(build(family_of(file), Weights(file), rows, rows, TinyFamily::context));
        const graph::Value logits = graph.outputs()[0];
        loss = graph.add("cross_entropy", {logits, graph.input("targets", ops::i32({rows}))});
        weights = graph::trainable(graph, loss);
        const auto classes = static_cast<std::int32_t>(graph.node(logits).type.shape.width()), third = static_cast<std::int32_t>(rows / 3);
        for (std::int32_t r = 0; r < rows; ++r) {
            ids.push_back(r * 7 % static_cast<std::int32_t>(TinyFamily::vocabulary)), sequences.push_back(r < third), wanted.push_back(r);
            positions.push_back(r < third ? r : r - third), targets.push_back(r * 11 % classes);
        }
    }

    /// Runs a graph with inputs of the same names and gives its outputs.
    std::vector<core::Tensor> run(const graph::Graph& given, bool by_definition = false) {
        graph::Plan plan(given, pool_, {.isa = cpu::available_isas().back(), .use_reference = by_definition, .state = {rows_ + 1}, .most_error = 1e-4});
        std::vector<core::Tensor> states, outputs;
        for (const graph::Plan::StateSlot& slot : plan.state_slots()) states.push_back(slot.make(2));
        const core::Tensor arena = formats::make_tensor(formats::get("i32"), {plan.arena_bytes() / 4 + 1});
        const std::pair<const char*, const std::vector<std::int32_t>*> bound[] = {{"token_ids", &ids}, {"positions", &positions}, {"wanted_rows", &wanted}, {"targets", &targets}};
        for (const auto& [name, data] : bound)
            if (given.find(name) != graph::absent) plan.set_input(name, data->data());
        plan.bind(arena.data, states);
        plan.run({sequences, positions});
        for (std::size_t i = 0; i < given.outputs().size(); ++i) {
            outputs.push_back(formats::make_tensor(formats::get("f32"), plan.output(i).shape));
            std::copy_n(plan.output(i).row_f32(0), plan.output(i).shape.elements(), outputs.back().row_f32(0));
        }
        return outputs;
    }

  private:
    std::int64_t rows_;
    core::Pool pool_;
};

}  // namespace tailor::models::testing
