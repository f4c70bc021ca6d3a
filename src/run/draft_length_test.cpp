// The choice of how many tokens to draft, on machines whose costs are made up.
#include "run/draft_length.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::run {
namespace {

// Steps of a machine with these costs, where a drafted token is taken with a fixed probability: every tenth of 1/10 and so on, without
// random numbers. Returns tokens per second over the last half of the steps, and lengths chosen.
struct Trial {
    double first_row, each_row, each_draft, taken;
    double tokens = 0, seconds = 0;
    std::int64_t latest = 0;

    double run(DraftLength& length, int steps) {
        double owed = 0;
        for (int i = 0; i < steps; ++i) {
            const std::int64_t k = length.choose(100);
            latest = k ? k : latest;
            double expected = 0;
            for (std::int64_t j = 1; j <= k; ++j) expected += std::pow(taken, static_cast<double>(j));
            owed += expected;
            const auto n = std::min(k, static_cast<std::int64_t>(owed));
            owed -= static_cast<double>(n);
            const double step = first_row + each_row * static_cast<double>(k), draft = each_draft * static_cast<double>(k);
            if (k > 0) length.observe_draft(k, draft);
            length.observe_step(k + 1, step);
            length.observe_taken(k, n);
            if (k > 0) length.observe_round(n + 1, step + draft);
            if (i >= steps / 2) tokens += static_cast<double>(n + 1), seconds += step + draft;
        }
        return tokens / seconds;
    }
};

TEST(DraftLength, DraftsManyWhereRowsAreCheapAndGuessesGood) {
    DraftLength length;
    Trial trial{1, 0.02, 0, 0.9};
    EXPECT_GT(trial.run(length, 400), 4.0);  // plain steps: 1
    EXPECT_GE(trial.latest, 8);
    EXPECT_FALSE(length.is_off());
}

TEST(DraftLength, DraftsFewWhereGuessesAreSeldomRight) {
    DraftLength length;
    Trial trial{1, 0.02, 0.05, 0.4};
    EXPECT_GT(trial.run(length, 400), 1.2);
    EXPECT_LE(trial.latest, 3);
}

TEST(DraftLength, SwitchesOffWhereEveryRowCostsAWholeStep) {
    DraftLength length;
    Trial trial{1, 1, 0, 0.8};
    EXPECT_GT(trial.run(length, 2000), 0.97);  // three percent for looking again
    EXPECT_TRUE(length.is_off());
}

TEST(DraftLength, SwitchesOffWhereDraftingCostsMoreThanItBrings) {
    DraftLength length;
    Trial trial{1, 0, 0.9, 0.7};
    EXPECT_GT(trial.run(length, 2000), 0.97);
    EXPECT_TRUE(length.is_off());
}

TEST(DraftLength, BeginsAgainWhenTheTextChanges) {
    DraftLength length;
    Trial{1, 0.05, 0, 0.01}.run(length, 300);
    EXPECT_TRUE(length.is_off());
    Trial later{1, 0.05, 0, 0.95};
    EXPECT_GT(later.run(length, 1000), 3.0);
    EXPECT_FALSE(length.is_off());
}

TEST(DraftLength, NeverAboveTheMost) {
    DraftLength length;
    for (int i = 0; i < 200; ++i) {
        const std::int64_t k = length.choose(5);
        EXPECT_LE(k, 5);
        length.observe_step(k + 1, 1);
        length.observe_taken(k, k);
    }
    EXPECT_EQ(4, DraftLength::round_down(5));
    EXPECT_EQ(0, DraftLength::round_down(-1));
    EXPECT_EQ(16, DraftLength::round_down(99));
}

}  // namespace
}  // namespace tailor::run
