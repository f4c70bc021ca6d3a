// Models that are made: every family from sizes alone, built again as a file would be, with keys that it reads and no others.
#include "models/new_model.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "models/registry.h"

namespace tailor::models {
namespace {

Sizes small() { return {.vocabulary = 50, .context = 32, .layers = 4, .width = 64, .heads = 4}; }

std::string refusal(const std::string& architecture, const Sizes& sizes, const files::Metadata& more = {}) {
    try {
        make_new_model(architecture, sizes, more);
        return "none";
    } catch (const core::Error& error) {
        return error.what();
    }
}

class NewModels : public ::testing::TestWithParam<std::string> {};

TEST_P(NewModels, CanBeBuiltAgain) {
    files::Metadata more;
    const auto file = make_new_model(GetParam(), small(), more);
    const Weights weights(*file);
    const graph::Graph graph = build(family_of(*file), weights, 4, 4);
    EXPECT_EQ(GetParam() == "bert" || GetParam() == "nomic-bert" || GetParam() == "nomic-bert-moe" ? 64 : 50, graph.node(graph.outputs()[0]).type.shape.width());
    EXPECT_EQ(4, file->metadata().integer(GetParam() + ".block_count"));
    EXPECT_GT(file->bytes(), 0U);
}

std::vector<std::string> architectures() {
    std::vector<std::string> names;
    for (const Model* const family : all())
        for (const std::string_view name : family->architectures) names.emplace_back(name);
    return names;
}

INSTANTIATE_TEST_SUITE_P(Families, NewModels, ::testing::ValuesIn(architectures()), [](const auto& info) {
    std::string name = info.param;
    for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    return name;
});

TEST(NewModel, HasTheTensorsAndKeysOfItsFamily) {
    const auto llama = make_new_model("llama", small());
    EXPECT_TRUE(llama->find("output.weight"));
    EXPECT_EQ((core::Shape{192, 64}), llama->find("blk.3.ffn_up.weight")->shape);
    EXPECT_EQ((core::Shape{32, 64}), llama->find("blk.0.attn_k.weight")->shape);
    EXPECT_FALSE(llama->find("blk.0.attn_q.bias"));
    EXPECT_FALSE(llama->metadata().find("llama.ssm.state_size"));
    EXPECT_TRUE(llama->find("blk.0.ffn_gate.weight"));
    EXPECT_FALSE(llama->metadata().find("llama.expert_count")) << "the family reads it, but there are none";

    Sizes tied = small();
    tied.tied = true;
    EXPECT_FALSE(make_new_model("llama", tied)->find("output.weight"));

    const auto mamba = make_new_model("mamba", small());
    EXPECT_EQ((core::Shape{128, 16}), mamba->find("blk.0.ssm_a")->shape);
    EXPECT_TRUE(mamba->find("blk.0.ssm_dt.bias"));
    EXPECT_EQ(4, mamba->metadata().integer("mamba.ssm.time_step_rank"));

    const auto experts = make_new_model("qwen3moe", small());
    EXPECT_EQ((core::Shape{8, 96, 64}), experts->find("blk.2.ffn_up_exps.weight")->shape);
    EXPECT_EQ(2, experts->metadata().integer("qwen3moe.expert_used_count"));
}

TEST(NewModel, TakesKeysBeyondItsSizes) {
    files::Metadata more;
    more.set_integer("decay_rank", 8);
    more.set_text("general.name", "small one");
    const auto gla = make_new_model("gla", small(), more);
    EXPECT_EQ((core::Shape{8, 64}), gla->find("blk.0.attn_decay_a.weight")->shape);
    EXPECT_EQ("small one", gla->metadata().text("general.name"));
    EXPECT_EQ("decay_rank is no key that a llama model of these sizes reads", refusal("llama", small(), more));
}

TEST(NewModel, RefusesSizesThatCannotBe) {
    EXPECT_NE(std::string::npos, refusal("unheard-of", small()).find("unknown architecture 'unheard-of'"));
    Sizes sizes = small();
    sizes.heads = 3;
    EXPECT_EQ("a width of 64 cannot be shared among 3 heads", refusal("llama", sizes));
    sizes = small();
    sizes.layers = 0;
    EXPECT_EQ("layers is 0; a llama model needs at least 1", refusal("llama", sizes));
    sizes = small();
    sizes.vocabulary = 0;
    EXPECT_NE("none", refusal("llama", sizes));
}

}  // namespace
}  // namespace tailor::models
