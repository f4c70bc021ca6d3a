// Schedules: values that follow from their formulas, and what all of them must keep to.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "train/schedules/registry.h"

namespace tailor::train::schedules {
namespace {

TEST(Schedules, RiseToThePeakAndNeverAboveIt) {
    for (const Schedule* schedule : all())
        for (const Span& span : {Span{10, 100}, {0, 100}, {0, 1}, {5, 5}, {100, 50}, {1, 3}}) {
            for (std::int64_t step = 1; step <= span.steps + 5; ++step) {
                const double rate = schedule->rate(2, step, span);
                EXPECT_GT(rate, 0) << schedule->name << " " << step << " of " << span.steps;
                EXPECT_LE(rate, 2) << schedule->name;
                if (step > span.warmup + 1) {
                    EXPECT_LE(rate, schedule->rate(2, step - 1, span)) << schedule->name << " rises after the warm-up at " << step;
                }
            }
            EXPECT_DOUBLE_EQ(schedule->rate(2, 5, {10, 100}), 1) << schedule->name;
            EXPECT_DOUBLE_EQ(schedule->rate(2, 10, {10, 100}), 2) << schedule->name;
        }
}

TEST(Schedules, FollowTheirFormulas) {
    const Span span{10, 100};
    EXPECT_NEAR(get("cosine").rate(2, 55, span), 1.1, 1e-12);
    EXPECT_NEAR(get("cosine").rate(2, 100, span), 0.2, 1e-12);
    EXPECT_DOUBLE_EQ(get("warmup-stable-decay").rate(2, 80, span), 2);
    EXPECT_NEAR(get("warmup-stable-decay").rate(2, 90, span), 2 * (1 - std::sqrt(10.0 / 21)), 1e-12);
    EXPECT_NEAR(get("power").rate(2, 40, span), 2 * std::pow(4, -0.51), 1e-12);
    EXPECT_NEAR(get("power").rate(2, 100, span), 2 * std::pow(10, -0.51) / 11, 1e-12);
    EXPECT_DOUBLE_EQ(get("power").rate(2, 40, span), get("power").rate(2, 40, {10, 1000})) << "before its end the rate knows nothing of it";
    EXPECT_THROW(get("linear"), core::Error);
}

}  // namespace
}  // namespace tailor::train::schedules
