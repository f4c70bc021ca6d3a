// Every strategy against brute force on small problems, and the properties that answers to large ones must have.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <random>

#include "core/error.h"
#include "search/registry.h"

namespace tailor::search {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr SolveOptions exact{.time_limit_seconds = 20, .relative_gap = 0};

static double uniform(std::mt19937_64& generator) { return static_cast<double>(generator() >> 11) * 0x1p-53; }

/// Every combination; the reason why small problems have at most 6 groups.
static Allocation brute_force(const Problem& problem) {
    Allocation best = infeasible(problem, true, "brute force");
    std::vector<int> chosen(problem.groups.size(), 0);
    for (;;) {
        Allocation candidate = evaluate(problem, chosen, -infinity, "brute force");
        if (candidate.feasible && candidate.loss < best.loss) best = candidate;
        std::size_t g = 0;
        while (g < chosen.size() && ++chosen[g] == static_cast<int>(problem.groups[g].size())) chosen[g++] = 0;
        if (g == chosen.size()) return best;
    }
}

/// Costs of unlike magnitude: bytes, nanoseconds, a small number. `tightness` 0 allows only the cheapest, 1 everything.
static Problem random_problem(std::mt19937_64& generator, int groups, int choices, int budgets, double tightness, bool integers) {
    const double magnitude[3] = {1e9, 1e7, 0.01};
    Problem problem;
    std::vector<double> least(budgets, 0.0), most(budgets, 0.0);
    for (int g = 0; g < groups; ++g) {
        std::vector<Choice> group(choices);
        for (Choice& choice : group) {
            choice.loss = integers ? std::floor(uniform(generator) * 5) : uniform(generator);
            for (int b = 0; b < budgets; ++b)
                choice.costs.push_back(integers ? std::floor(uniform(generator) * 5) : uniform(generator) * magnitude[b]);
        }
        for (int b = 0; b < budgets; ++b) {
            double low = infinity, high = 0;
            for (const Choice& c : group) low = std::min(low, c.costs[b]), high = std::max(high, c.costs[b]);
            least[b] += low, most[b] += high;
        }
        problem.groups.push_back(std::move(group));
    }
    for (int b = 0; b < budgets; ++b) problem.budgets.push_back(least[b] + tightness * (most[b] - least[b]));
    if (integers)
        for (double& budget : problem.budgets) budget = std::floor(budget);
    return problem;
}

/// Like a network: per tensor, formats whose loss falls as 4^-bits while bytes and time grow with the bits.
static Problem network_problem(int groups, int choices, int budgets, double share) {
    std::mt19937_64 generator(7);
    Problem problem;
    std::vector<double> most(budgets, 0.0);
    for (int g = 0; g < groups; ++g) {
        const double size = 1e6 * (1 + 60 * uniform(generator)), weight = std::exp(3 * uniform(generator));
        std::vector<Choice> group;
        for (int i = 0; i < choices; ++i) {
            const double bits = 2 + 14.0 * i / (choices - 1);
            Choice choice{.loss = weight * std::exp2(-2 * bits) * (0.8 + 0.4 * uniform(generator)), .costs = {std::floor(size * bits / 8)}};
            if (budgets > 1) choice.costs.push_back(size * (0.03 * bits + 0.2 * uniform(generator)));
            if (budgets > 2) choice.costs.push_back(size * bits * bits * (0.5 + uniform(generator)));
            group.push_back(choice);
        }
        for (int b = 0; b < budgets; ++b) {
            double high = 0;
            for (const Choice& c : group) high = std::max(high, c.costs[b]);
            most[b] += high;
        }
        problem.groups.push_back(std::move(group));
    }
    for (const double m : most) problem.budgets.push_back(share * m);
    return problem;
}

static void expect_consistent(const Problem& problem, const Allocation& answer) {
    ASSERT_EQ(answer.chosen.size(), problem.groups.size());
    const Allocation again = evaluate(problem, answer.chosen, answer.lower_bound, "");
    EXPECT_TRUE(again.feasible);
    EXPECT_EQ(again.loss, answer.loss);
    EXPECT_EQ(again.totals, answer.totals);
    EXPECT_LE(answer.lower_bound, answer.loss);
}

TEST(Search, AgreesWithBruteForce) {
    std::mt19937_64 generator(1);
    int feasible = 0, none = 0;
    for (int i = 0; i < 150; ++i) {
        const int budgets = 1 + i % 3;
        const double tightness = 0.05 + 0.5 * uniform(generator);
        const Problem problem = random_problem(generator, 2 + i % 5, 2 + i % 4, budgets, tightness, i % 2 == 1);
        const Allocation truth = brute_force(problem), answer = solve(problem, exact);
        ASSERT_EQ(answer.feasible, truth.feasible) << "problem " << i;
        EXPECT_EQ(answer.least, truth.least);
        if (!truth.feasible) {
            ++none;
            EXPECT_TRUE(answer.details.at("proved").boolean()) << "problem " << i;
            EXPECT_FALSE(answer.reason.empty());
            continue;
        }
        ++feasible;
        expect_consistent(problem, answer);
        EXPECT_NEAR(answer.loss, truth.loss, 1e-9 * (1 + truth.loss)) << "problem " << i;
        EXPECT_LE(answer.lower_bound, truth.loss + 1e-9);

        const Allocation near = get("lagrange").solve(problem, exact);
        EXPECT_LE(near.lower_bound, truth.loss + 1e-9) << "problem " << i;
        if (near.feasible) {
            expect_consistent(problem, near);
            EXPECT_GE(near.loss, truth.loss - 1e-12);
        }
    }
    EXPECT_GT(feasible, 60);
    EXPECT_GT(none, 5);
}

TEST(Search, BudgetBelowTheLeastNamesIt) {
    const Problem problem{.groups = {{{1, {10, 5}}, {2, {8, 9}}}, {{1, {10, 5}}}}, .budgets = {17, infinity}};
    const Allocation answer = solve(problem);
    EXPECT_FALSE(answer.feasible);
    EXPECT_EQ(answer.least, (std::vector<double>{18, 10}));
    EXPECT_NE(answer.reason.find("budget 1"), std::string::npos);
    EXPECT_NE(answer.reason.find("18"), std::string::npos);
    EXPECT_TRUE(answer.chosen.empty());
    EXPECT_TRUE(std::isinf(answer.loss));
}

TEST(Search, BudgetsThatExcludeEachOther) {
    const Problem problem{.groups = {{{0, {1, 9}}, {0, {9, 1}}}}, .budgets = {5, 5}};
    const Problem pairs{.groups = {{{0, {1, 5}}, {0, {5, 1}}}, {{0, {1, 5}}, {0, {5, 1}}}}, .budgets = {5.5, 5.5}};
    for (const Problem* p : {&problem, &pairs}) {
        const Allocation answer = solve(*p);
        EXPECT_FALSE(answer.feasible);
        EXPECT_TRUE(answer.details.at("proved").boolean());
        EXPECT_NE(answer.reason.find("together"), std::string::npos);
    }
}

TEST(Search, ExactlyMetBudgetIsMet) {
    // 0.1 + 0.2 is above 0.3 by one rounding; bytes are whole and one too many is too many.
    const Problem tenths{.groups = {{{0, {0.1}}}, {{0, {0.2}}, {1, {0.1}}}}, .budgets = {0.3}};
    EXPECT_EQ(solve(tenths).chosen, (std::vector<int>{0, 0}));
    const Problem bytes{.groups = {{{0, {4e9}}, {1, {3e9}}}, {{0, {6e9}}, {1, {5e9}}}}, .budgets = {1e10 - 1}};
    const Allocation answer = solve(bytes, exact);
    EXPECT_EQ(answer.loss, 1);
    EXPECT_EQ(answer.totals[0], 9e9);
}

TEST(Search, OneByteDecides) {
    // Within CBC's tolerance of the budget: the best choice oversteps 4 GB by one byte.
    std::mt19937_64 generator(3);
    Problem problem{.groups = {}, .budgets = {0}};
    for (int g = 0; g < 5; ++g) {
        std::vector<Choice> group;
        for (int i = 0; i < 4; ++i) group.push_back({uniform(generator), {std::floor(uniform(generator) * 1e9)}});
        problem.groups.push_back(group);
    }
    for (int i = 0; i < 40; ++i) {
        std::vector<int> chosen;
        for (int g = 0; g < 5; ++g) chosen.push_back(static_cast<int>(generator() % 4));
        problem.budgets[0] = evaluate(problem, chosen, 0, "").totals[0] - (i % 2);
        EXPECT_NEAR(solve(problem, exact).loss, brute_force(problem).loss, 1e-12) << i;
    }
}

TEST(Search, TiesAndDuplicates) {
    const Problem same{.groups = {{{1, {1}}, {1, {1}}}, {{1, {1}}, {1, {1}}}}, .budgets = {2}};
    EXPECT_EQ(solve(same).chosen, (std::vector<int>{0, 0}));
    // Equal in loss and in the limited cost: the smaller unlimited cost wins.
    const Problem unlimited{.groups = {{{1, {1, 9}}, {1, {1, 3}}, {1, {1, 5}}}}, .budgets = {2, infinity}};
    EXPECT_EQ(solve(unlimited).chosen, (std::vector<int>{1}));
}

TEST(Search, OneGroupNoGroupNoBudget) {
    const Problem one{.groups = {{{3, {1}}, {2, {2}}, {1, {3}}}}, .budgets = {2.5}};
    EXPECT_EQ(solve(one).chosen, (std::vector<int>{1}));
    EXPECT_EQ(solve(one).gap, 0);
    EXPECT_TRUE(solve(Problem{.groups = {}, .budgets = {1}}).feasible);
    const Problem free{.groups = {{{3, {}}, {2, {}}}}, .budgets = {}};
    EXPECT_EQ(solve(free).chosen, (std::vector<int>{1}));
    const Problem zero{.groups = {{{3, {0}}, {2, {1}}}}, .budgets = {0}};
    EXPECT_EQ(solve(zero).chosen, (std::vector<int>{0}));
}

TEST(Search, NegativeLossesAndUnusableChoices) {
    // A smaller format may happen to help; a choice that could not be measured has no loss.
    const Problem problem{.groups = {{{NAN, {1}}, {-2, {3}}, {0, {1}}}, {{-1, {2}}, {0, {infinity}}}}, .budgets = {5}};
    const Allocation answer = solve(problem);
    EXPECT_EQ(answer.chosen, (std::vector<int>{1, 0}));
    EXPECT_EQ(answer.loss, -3);
    EXPECT_EQ(answer.lower_bound, -3);
}

TEST(Search, MalformedProblems) {
    EXPECT_THROW(solve({.groups = {{}}, .budgets = {1}}), core::Error);
    EXPECT_THROW(solve({.groups = {{{NAN, {1}}}}, .budgets = {1}}), core::Error);
    EXPECT_THROW(solve({.groups = {{{1, {1, 2}}}}, .budgets = {1}}), core::Error);
    EXPECT_THROW(solve({.groups = {{{1, {-1}}}}, .budgets = {1}}), core::Error);
    EXPECT_THROW(solve({.groups = {{{1, {1}}}}, .budgets = {NAN}}), core::Error);
    EXPECT_THROW(get("oracle"), core::Error);
    EXPECT_EQ(get("CBC").name, std::string("cbc"));
}

TEST(Search, LargeNetwork) {
    for (int budgets = 1; budgets <= 3; ++budgets) {
        const Problem problem = network_problem(300, 15, budgets, 0.35);
        const auto start = std::chrono::steady_clock::now();
        const Allocation answer = solve(problem, {.time_limit_seconds = 4, .relative_gap = 1e-4});
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        RecordProperty(core::format("gap_{}", budgets), core::format("{:.2e}", answer.gap));
        RecordProperty(core::format("seconds_{}", budgets), core::format("{:.2f}", seconds));
        ASSERT_TRUE(answer.feasible);
        expect_consistent(problem, answer);
        EXPECT_LT(answer.gap, 2e-3) << budgets;
        EXPECT_LT(seconds, 30) << budgets;  // 5 alone on a machine; tests share theirs

        const Allocation near = get("lagrange").solve(problem, {});
        ASSERT_TRUE(near.feasible);
        expect_consistent(problem, near);
        RecordProperty(core::format("lagrange_gap_{}", budgets), core::format("{:.2e}", near.gap));
        EXPECT_LT(near.gap, 0.02) << budgets;
        EXPECT_GE(near.loss, answer.lower_bound);
        EXPECT_GE(answer.loss, near.lower_bound - 1e-9 * near.loss);
    }
}

TEST(Search, MoreBudgetNeverHurts) {
    double before = infinity;
    for (const double share : {0.3, 0.35, 0.5, 0.8, 1.0}) {
        const Allocation answer = solve(network_problem(30, 8, 2, share), {.time_limit_seconds = 5, .relative_gap = 1e-6});
        ASSERT_TRUE(answer.feasible);
        EXPECT_LE(answer.lower_bound, before);
        before = answer.loss;
    }
}

TEST(Search, PricesTellWhatABudgetIsWorth) {
    // One more byte of budget buys about the price, on a problem fine enough to be nearly continuous.
    Problem problem = network_problem(300, 15, 1, 0.3);
    const Allocation answer = solve(problem, {.relative_gap = 1e-6});
    const double price = answer.details.at("prices").items().at(0).number(), more = 0.01 * problem.budgets[0];
    problem.budgets[0] += more;
    const double saved = answer.loss - solve(problem, {.relative_gap = 1e-6}).loss;
    EXPECT_GT(price, 0);
    EXPECT_NEAR(saved / (price * more), 1, 0.25);
}

TEST(Search, SilentAndLeavesSignalsAlone) {
    const auto handler = [](int) {};
    struct sigaction ours {}, after {};
    ours.sa_handler = handler;
    sigaction(SIGINT, &ours, &after);
    const struct sigaction saved = after;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    std::mt19937_64 generator(11);
    for (int i = 0; i < 6; ++i) get("cbc").solve(random_problem(generator, 12, 6, 3, 0.12 + 0.05 * i, false), exact);
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    sigaction(SIGINT, &saved, &after);
    EXPECT_EQ(after.sa_handler, ours.sa_handler);
}

TEST(Search, SameInputSameAnswer) {
    const Problem problem = network_problem(40, 10, 2, 0.3);
    EXPECT_EQ(solve(problem).chosen, solve(problem).chosen);
    EXPECT_EQ(get("lagrange").solve(problem, {}).chosen, get("lagrange").solve(problem, {}).chosen);
}

}  // namespace tailor::search
