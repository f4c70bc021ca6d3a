// The pass that adds an adapter: which weights can have one, and that the graph computes what the merged weights do, in every family.
#include "models/adapter.h"

#include <gtest/gtest.h>

#include "models/tiny_model.h"

namespace tailor::models {
namespace {

using testing::TinyModel;

/// A pair for every weight that can have one.
files::Adapter adapter_of(const graph::Graph& graph) {
    files::Adapter adapter;
    adapter.alpha = 3;
    for (const AdaptableWeight& weight : adaptable_weights(graph)) {
        files::Adapter::Pair pair{weight.name, formats::make_tensor(formats::get("f32"), {2, weight.inputs}), formats::make_tensor(formats::get("f32"), {weight.outputs, 2})};
        for (std::int64_t i = 0; i < 2 * weight.inputs; ++i) pair.a.row_f32(0)[i] = static_cast<float>((i * 29) % 31 - 15) / 60;
        for (std::int64_t i = 0; i < 2 * weight.outputs; ++i) pair.b.row_f32(0)[i] = static_cast<float>((i * 17) % 23 - 11) / 60;
        adapter.pairs.push_back(std::move(pair));
    }
    return adapter;
}

std::vector<float> logits(const graph::Graph& graph) {
    core::Pool pool(1);
    graph::Plan plan(graph, pool, {.use_reference = true, .state = {.context = testing::rows}});
    std::vector<core::Tensor> states;
    for (const graph::Plan::StateSlot& slot : plan.state_slots()) states.push_back(slot.make(1));
    const core::Tensor arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
    std::vector<std::int32_t> ids, positions, sequences(testing::rows);
    for (std::int32_t r = 0; r < testing::rows; ++r) ids.push_back(r * 5 % 40), positions.push_back(r);
    plan.set_input("token_ids", ids.data()), plan.set_input("positions", positions.data()), plan.set_input("wanted_rows", positions.data());
    plan.bind(arena.data, states);
    plan.run({sequences, positions});
    return {plan.output().row_f32(0), plan.output().row_f32(0) + plan.output().shape.elements()};
}

TEST(Adapter, ComputesWhatTheMergedWeightsDo) {
    for (const char* const architecture : {"llama", "qwen2", "gemma2"}) {
        TinyModel model(architecture, 2);
        if (std::string(architecture) == "gemma2")
            for (const char* const norm : {"post_attention_norm", "post_ffw_norm"}) model.add_to_layers(std::string(norm) + ".weight", {testing::dim});
        if (std::string(architecture) == "qwen2")
            for (const char* const part : {"attn_q", "attn_k", "attn_v"}) model.add_to_layers(std::string(part) + ".bias", {part[5] == 'q' ? testing::heads * testing::head_dim : testing::kv_heads * testing::head_dim});
        Weights weights(model);
        const graph::Graph plain = build(family_of(model), weights, testing::rows, testing::rows);
        auto adapter = std::make_shared<files::Adapter>(adapter_of(plain));
        ASSERT_GE(adapter->pairs.size(), 14U) << architecture;
        const std::unique_ptr<files::File> merged = files::merged(model, *adapter);
        const std::vector<float> expected = logits(build(family_of(model), Weights(*merged), testing::rows, testing::rows)), before = logits(plain);
        weights.adapt(adapter);
        const std::vector<float> found = logits(build(family_of(model), weights, testing::rows, testing::rows));
        EXPECT_LT(testing::difference(expected, found), 1e-5) << architecture;
        EXPECT_GT(testing::difference(before, found), 0.01) << architecture;
    }
}

TEST(Adapter, IsNotForTablesThatAreAlsoLookedUp) {
    const TinyModel tied("llama", 1);
    for (const AdaptableWeight& weight : adaptable_weights(testing::graph_of(tied))) EXPECT_NE(weight.name, "token_embd.weight");
    TinyModel own("llama", 1);
    own.add("output.weight", {testing::vocabulary, testing::dim});
    bool output = false;
    for (const AdaptableWeight& weight : adaptable_weights(testing::graph_of(own))) output |= weight.name == "output.weight";
    EXPECT_TRUE(output);
}

}  // namespace
}  // namespace tailor::models
