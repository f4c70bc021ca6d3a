// Budgets: the rate reaches its end when the nearer of two limits does, and no step begins that does not fit.
#include "train/budget.h"

#include <gtest/gtest.h>

#include "train/schedules/registry.h"

namespace tailor::train {
namespace {

TEST(Budget, StepsAloneAreTheScheduleItself) {
    const schedules::Schedule& cosine = schedules::get("cosine");
    const Budget budget{.steps = 100}, warm{.steps = 100, .warmup = 20};
    for (std::int64_t step = 1; step <= 100; ++step) {
        EXPECT_EQ(cosine.rate(2, step, {5, 100}), budget.rate(cosine, 2, step, 1e9));
        EXPECT_EQ(cosine.rate(2, step, {20, 100}), warm.rate(cosine, 2, step, 0));
    }
    EXPECT_FALSE(budget.over(99, 1e9, 1e9));
    EXPECT_TRUE(budget.over(100, 0, 0));
}

TEST(Budget, TimeAloneGoesByItsShare) {
    const Budget budget{.seconds = 60};
    for (const schedules::Schedule* const schedule : schedules::all()) {
        const schedules::Span span{50'000, 1'000'000};
        EXPECT_DOUBLE_EQ(schedule->rate(2, 500'000, span), budget.rate(*schedule, 2, 7, 30)) << schedule->name;
        EXPECT_DOUBLE_EQ(schedule->rate(2, 25'000, span), budget.rate(*schedule, 2, 1, 1.5)) << "in the warm-up, whichever step it is";
        EXPECT_DOUBLE_EQ(schedule->rate(2, 1'000'000, span), budget.rate(*schedule, 2, 9, 90)) << "not beyond the end";
        EXPECT_GT(budget.rate(*schedule, 2, 1, 0), 0);
    }
    EXPECT_FALSE(budget.over(0, 100, 100)) << "a first step always fits";
    EXPECT_FALSE(budget.over(3, 50, 9));
    EXPECT_TRUE(budget.over(3, 50, 11));
}

TEST(Budget, TheNearerLimitCounts) {
    const Budget budget{.steps = 10, .seconds = 100};
    EXPECT_DOUBLE_EQ(0.5, budget.share(5, 10));
    EXPECT_DOUBLE_EQ(0.7, budget.share(5, 70));
    EXPECT_DOUBLE_EQ(1, budget.share(50, 70));
    EXPECT_TRUE(budget.over(10, 1, 1));
    EXPECT_TRUE(budget.over(2, 99, 2));
    EXPECT_FALSE(budget.over(2, 97, 2));
    EXPECT_DOUBLE_EQ(0, Budget{}.share(100, 100));
}

}  // namespace
}  // namespace tailor::train
