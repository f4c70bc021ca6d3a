// Every family of models under every policy of what is kept for the way back (graph/saving.h): the gradients of the exact ones are those of
// keeping all to the bit, also where operators carry states, and those of the others are near.
#include "graph/saving.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "graph/gradient.h"
#include "graph/passes.h"
#include "graph/plan.h"
#include "graph/policies/registry.h"
#include "models/tiny_family.h"
#include "ops/support.h"

namespace tailor::models {
namespace {

using namespace testing;
using core::Tensor;

constexpr std::int64_t rows = 24;

/// A model's graph with a loss and all gradients as outputs.
struct Training {
    graph::Graph graph;
    graph::Value turn = graph::absent;
    std::vector<std::int32_t> ids, positions, sequences, wanted, targets;
    core::Pool pool{1};

    explicit Training(const files::File& file) {
        const Weights tensors(file);
        const graph::Graph built = graph::optimize(build(family_of(file), tensors, rows, rows, TinyFamily::context));
        std::vector<graph::Value> places;
        for (const graph::Node& node : built.nodes()) {
            std::vector<graph::Value> inputs;
            for (const graph::Value v : node.inputs) inputs.push_back(v == graph::absent ? v : places[static_cast<std::size_t>(v)]);
            places.push_back(graph.keep(node, inputs));
        }
        const graph::Value logits = places[static_cast<std::size_t>(built.outputs()[0])], loss = graph.add("cross_entropy", {logits, graph.input("targets", ops::i32({rows}))});
        const auto classes = static_cast<std::int32_t>(graph.node(logits).type.shape.width());
        for (std::int32_t r = 0; r < rows; ++r) {
            const bool first = r < rows / 3;
            ids.push_back(r * 7 % static_cast<std::int32_t>(TinyFamily::vocabulary)), sequences.push_back(first), wanted.push_back(r);
            positions.push_back(first ? r : r - static_cast<std::int32_t>(rows) / 3), targets.push_back(r * 11 % classes);
        }
        graph.output(loss);
        const std::vector<graph::Value> weights = graph::trainable(graph, loss);
        turn = static_cast<graph::Value>(graph.nodes().size());
        for (const graph::Value v : graph::add_gradients(graph, loss, weights)) graph.output(v);
    }

    std::vector<Tensor> run(const graph::Graph& given) {
        graph::Plan plan(given, pool, {.isa = cpu::available_isas().back(), .state = {rows + 1}, .most_error = 1e-4});
        std::vector<Tensor> states, outputs;
        for (const graph::Plan::StateSlot& slot : plan.state_slots()) {
            core::Shape shape{2};
            for (int i = 0; i < slot.type.shape.rank(); ++i) shape.append(slot.type.shape[i]);
            states.push_back(formats::make_tensor(slot.type.format ? *slot.type.format : formats::get("f32"), shape));
        }
        const Tensor arena = formats::make_tensor(formats::get("i32"), {plan.arena_bytes() / 4 + 1});
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
};

/// The norm of the difference of all gradients, as a share of theirs.
double relative_error(const std::vector<Tensor>& expected, const std::vector<Tensor>& actual) {
    double difference = 0, size = 0;
    for (std::size_t i = 1; i < expected.size(); ++i)
        for (std::int64_t k = 0; k < expected[i].shape.elements(); ++k) {
            const double e = static_cast<double>(expected[i].row_f32(0)[k]), a = static_cast<double>(actual[i].row_f32(0)[k]);
            difference += (a - e) * (a - e), size += e * e;
        }
    return std::sqrt(difference / size);
}

class FamilyPolicies : public ::testing::TestWithParam<TinyKind> {};

TEST_P(FamilyPolicies, GiveTheGradientsOfKeepingAll) {
    const auto file = make_tiny_family(GetParam().architecture, GetParam().parts);
    std::unique_ptr<Training> training;
    try {
        training = std::make_unique<Training>(*file);
    } catch (const core::Error& error) {
        if (error.kind() != core::ErrorKind::unsupported) throw;
        GTEST_SKIP() << GetParam().architecture << ": " << error.what();
    }
    const std::vector<Tensor> expected = training->run(training->graph);
    for (const graph::policies::Policy* policy : graph::policies::all()) {
        const graph::Saving saving = graph::save_values(training->graph, training->turn, {.policies = std::string(policy->name)});
        const std::vector<Tensor> actual = training->run(saving.graph);
        ASSERT_EQ(expected.size(), actual.size());
        for (std::size_t i = 0; i < (policy->exact ? expected.size() : 1); ++i)
            EXPECT_EQ(0, std::memcmp(expected[i].data, actual[i].data, static_cast<std::size_t>(4 * expected[i].shape.elements()))) << policy->name << ", output " << i << "; " << saving.summary;
        const double error = relative_error(expected, actual);
        // What 8 bits lose is small, but in gla, which norms results that may be far smaller than others of their group of codes; 4 bits and samples
        // of so few rows are only held to be numbers of about that size.
        const double of_8_bits = GetParam().architecture == "gla" ? 0.8 : 0.1;
        EXPECT_LE(error, policy->exact ? 0 : policy->name == "int8" ? of_8_bits : 4) << policy->name;
    }
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyPolicies, ::testing::ValuesIn(all_tiny_families()), [](const auto& info) { return test_name(info.param); });

}  // namespace
}  // namespace tailor::models
