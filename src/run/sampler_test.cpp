// Each filter of the sampler on distributions where the right answer is known.
#include "run/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

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

TEST(Sampler, KeepsTheBestOfManyLogits) {
    std::mt19937 random(7);
    std::vector<float> many(1000);
    for (float& logit : many) logit = static_cast<float>(random() % 300) * 0.1f;  // with ties
    std::vector<std::uint64_t> allowed((many.size() + 63) / 64);
    for (std::size_t i = 0; i < many.size(); ++i)
        if (i / 64 != 3 && random() % 3) allowed[i / 64] |= std::uint64_t{1} << i % 64;
    for (const bool masked : {false, true})
        for (const std::int64_t top_k : {0, 1, 40, 999, 1000}) {
            std::vector<text::TokenId> expected;
            for (std::size_t i = 0; i < many.size(); ++i)
                if (!masked || (allowed[i / 64] >> i % 64 & 1)) expected.push_back(static_cast<text::TokenId>(i));
            std::stable_sort(expected.begin(), expected.end(), [&](auto a, auto b) { return many[static_cast<std::size_t>(a)] > many[static_cast<std::size_t>(b)]; });
            if (top_k && static_cast<std::size_t>(top_k) < expected.size()) expected.resize(static_cast<std::size_t>(top_k));
            SamplerOptions options = open_options();
            options.top_k = top_k;
            Sampler sampler(options);
            std::vector<text::TokenId> kept;
            for (const Choice& c : sampler.distribution(many, {}, masked ? std::span<const std::uint64_t>(allowed) : std::span<const std::uint64_t>())) kept.push_back(c.id);
            EXPECT_EQ(expected, kept) << top_k << " masked " << masked;
        }
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
