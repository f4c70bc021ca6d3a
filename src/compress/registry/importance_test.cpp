// Importance against the inputs of products, followed by hand where that is short.
#include "compress/importance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/tiny_model.h"

namespace tailor::compress {
namespace {

const run::Windows windows{{1, 7, 3, 22, 9, 4}, {8, 2, 30, 5, 17}};
constexpr double tokens = 11;

Importance importance_of(models::testing::TinyModel model, core::Pool& pool) {
    run::Session session(run::LanguageModel::from_file(std::make_unique<models::testing::TinyModel>(std::move(model))), pool, {.context = 16});
    return Importance::measure(session, windows);
}

TEST(Importance, IsTheMeanSquareOfWhatAWeightMultiplies) {
    const models::testing::TinyModel model("llama", 2);
    core::Pool pool(2);
    const Importance importance = importance_of(model, pool);
    // The first layer's queries come from normalized rows of the embedding.
    const core::Tensor embedding = model.at("token_embd.weight"), norm = model.at("blk.0.attn_norm.weight");
    std::vector<double> expected(models::testing::dim);
    for (const auto& window : windows)
        for (const text::TokenId id : window) {
            const float* const row = embedding.row_f32(id);
            double square = 0;
            for (std::int64_t i = 0; i < models::testing::dim; ++i) square += static_cast<double>(row[i]) * row[i] / models::testing::dim;
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += std::pow(row[i] * norm.row_f32(0)[i], 2) / (square + 1e-5) / tokens;
        }
    for (const char* const name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"}) {
        const std::span<const float> found = importance.of(name);
        ASSERT_EQ(expected.size(), found.size()) << name;
        for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(expected[i], found[i], 1e-4 * expected[i] + 1e-7) << name << " " << i;
    }
    EXPECT_EQ(importance.of("blk.1.ffn_down.weight").size(), static_cast<std::size_t>(models::testing::ffn));
    EXPECT_TRUE(importance.of("blk.0.attn_norm.weight").empty());
    EXPECT_TRUE(importance.of("no such tensor").empty());
}

// Every token is sent to two of four experts. All of them see what the router sees, so together they have twice its squares, and each
// the mean of a row on top.
TEST(Importance, OfExpertsAddsUpToThatOfTheRouter) {
    using models::testing::dim, models::testing::ffn;
    constexpr std::int64_t experts = 4, used = 2;
    models::testing::TinyModel model("llama", 1);
    model.set("expert_count", experts), model.set("expert_used_count", used);
    for (const char* const name : {"ffn_gate", "ffn_up", "ffn_down"}) model.remove(std::string("blk.0.") + name + ".weight");
    model.add_to_layers("ffn_gate_inp.weight", {experts, dim});
    for (const char* const name : {"ffn_gate_exps.weight", "ffn_up_exps.weight"}) model.add_to_layers(name, {experts, ffn, dim});
    model.add_to_layers("ffn_down_exps.weight", {experts, dim, ffn});
    core::Pool pool(1);
    const Importance importance = importance_of(model, pool);
    const std::span<const float> router = importance.of("blk.0.ffn_gate_inp.weight"), gates = importance.of("blk.0.ffn_gate_exps.weight");
    ASSERT_EQ(router.size(), static_cast<std::size_t>(dim));
    ASSERT_EQ(gates.size(), static_cast<std::size_t>(experts * dim));
    for (std::size_t i = 0; i < router.size(); ++i) {
        double sum = 0;
        for (std::size_t e = 0; e < experts; ++e) {
            EXPECT_GE(gates[e * dim + i], router[i] / tokens * 0.999) << e;
            sum += gates[e * dim + i];
        }
        EXPECT_NEAR(router[i] * (used + experts / tokens), sum, 1e-4 * sum);
    }
}

}  // namespace
}  // namespace tailor::compress
