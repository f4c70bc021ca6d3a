// Each filter of the sampler on distributions where the right answer is known.
#include "run/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/error.h"

namespace tailor::run {
namespace {

const std::vector<float> logits = {std::log(0.5f), std::log(0.25f), std::log(0.15f), std::log(0.1f)};

std::map<text::TokenId, int> draw(SamplerOptions options, int count = 20000) {
    Sampler sampler(options);
    std::map<text::TokenId, int> counts;
    for (int i = 0; i < count; ++i) ++counts[sampler.sample(logits, {})];
    return counts;
}

SamplerOptions open_options() { return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0}; }

TEST(Sampler, FollowsTheProbabilities) {
    auto counts = draw(open_options());
    EXPECT_NEAR(counts[0] / 20000.0, 0.5, 0.015);
    EXPECT_NEAR(counts[3] / 20000.0, 0.1, 0.01);
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
    SamplerOptions options = open_options();
    options.top_k = 2;
    EXPECT_EQ(2u, draw(options).size());
    options = open_options();
    options.top_p = 0.7;  // 0.5 is not enough, 0.75 is
    EXPECT_EQ(2u, draw(options).size());
    options = open_options();
    options.min_p = 0.29;  // 0.15 / 0.5 = 0.3 stays, 0.1 / 0.5 goes
    EXPECT_EQ(3u, draw(options).size());
}

TEST(Sampler, TemperatureZeroIsGreedyAndPenaltyMovesIt) {
    SamplerOptions options = open_options();
    options.temperature = 0;
    EXPECT_EQ(0, Sampler(options).sample(logits, {}));
    options.repeat_penalty = 3;
    const std::vector<text::TokenId> history = {0};
    EXPECT_EQ(1, Sampler(options).sample(logits, history));
    options.repeat_last_n = 0;
    EXPECT_EQ(0, Sampler(options).sample(logits, history));
}

TEST(Sampler, SameSeedSameTokens) {
    SamplerOptions options = open_options();
    options.seed = 42;
    Sampler a(options), b(options);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(a.sample(logits, {}), b.sample(logits, {}));
}

TEST(Sampler, RefusesImpossibleOptions) {
    SamplerOptions options;
    options.top_p = 0;
    EXPECT_THROW(Sampler{options}, core::Error);
    options = {};
    options.temperature = -1;
    EXPECT_THROW(Sampler{options}, core::Error);
}

}  // namespace
}  // namespace tailor::run
