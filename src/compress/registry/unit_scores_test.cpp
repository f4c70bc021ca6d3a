// Scores of units against what the loss does when a unit is scaled.
#include "compress/unit_scores.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "models/tiny_model.h"
#include "train/curvature.h"

namespace tailor::compress {
namespace {

TEST(UnitScores, AreTheSquaredSlopesOfTheLossInAUnitsFactor) {
    const models::testing::TinyModel model("llama", 2);
    core::Pool pool(2);
    run::Windows windows{{1, 7, 3, 22, 9, 4}, {8, 2, 30, 5, 17, 11}};
    const auto scores = fisher_of_units(model, pool, windows);
    ASSERT_EQ(scores.size(), 2U);
    const auto trainer = train::derivatives_of(model, pool, 1, 6);
    for (const std::int64_t layer : {0, 1}) {
        const core::Tensor down = trainer->weight("blk." + std::to_string(layer) + ".ffn_down.weight");
        for (const std::int64_t unit : {0, 20}) {
            double expected = 0;
            for (const std::vector<text::TokenId>& window : windows) {
                std::vector<std::int32_t> ids(window.begin(), window.end()), targets(window.begin() + 1, window.end());
                targets.push_back(-1);
                const auto loss_with = [&](float factor) {
                    for (std::int64_t i = 0; i < down.shape.rows(); ++i) down.row_f32(i)[unit] *= factor;
                    const double loss = trainer->loss(ids, targets);
                    for (std::int64_t i = 0; i < down.shape.rows(); ++i) down.row_f32(i)[unit] /= factor;
                    return loss;
                };
                const double slope = (loss_with(1.0625f) - loss_with(0.9375f)) / 0.125;
                expected += slope * slope / 2;
            }
            const double score = scores.at(layer)[static_cast<std::size_t>(unit)];
            EXPECT_NEAR(std::sqrt(score), std::sqrt(expected), 0.02 * std::sqrt(expected) + 2e-5) << layer << " " << unit;
        }
    }
}

TEST(UnitScores, TheHighestAreKeptInTheirOrder) {
    EXPECT_EQ(highest_units({0.1, 5, 2, 7, 2}, 3), (std::vector<std::int64_t>{1, 2, 3}));
    EXPECT_THROW(highest_units({1, 2}, 3), core::Error);
    EXPECT_THROW(highest_units({1, 2}, 0), core::Error);
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(1);
    EXPECT_THROW(fisher_of_units(model, pool, {}), core::Error);
}

}  // namespace
}  // namespace tailor::compress
