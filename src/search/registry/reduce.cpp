// From a Problem to plain arrays; see relaxation.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "search/relaxation.h"

namespace tailor::search {

using core::ErrorKind;
using core::fail;

static bool usable(const Choice& choice) {
    const auto finite = [](double cost) { return std::isfinite(cost); };
    return std::isfinite(choice.loss) && std::all_of(choice.costs.begin(), choice.costs.end(), finite);
}

static void check(const Problem& problem) {
    for (const double budget : problem.budgets)
        if (std::isnan(budget)) fail(ErrorKind::bug, "an allocation was given a budget that is not a number");
    for (std::size_t g = 0; g < problem.groups.size(); ++g) {
        bool any = false;
        for (const Choice& choice : problem.groups[g]) {
            if (choice.costs.size() != problem.budgets.size())
                fail(ErrorKind::bug, "group {} has a choice with {} costs for {} budgets", g, choice.costs.size(),
                     problem.budgets.size());
            for (const double cost : choice.costs)
                if (cost < 0) fail(ErrorKind::bug, "group {} has a choice with the negative cost {}", g, cost);
            any = any || usable(choice);
        }
        if (!any) fail(ErrorKind::bug, "group {} has no choice whose loss and costs are finite", g);
    }
}

std::vector<double> least_totals(const Problem& problem) {
    std::vector<double> totals(problem.budgets.size(), 0.0);
    for (const auto& group : problem.groups)
        for (std::size_t b = 0; b < totals.size(); ++b) {
            double least = std::numeric_limits<double>::infinity();
            for (const Choice& choice : group)
                if (usable(choice)) least = std::min(least, choice.costs[b]);
            totals[b] += least;
        }
    return totals;
}

namespace {

/// `a` makes `b` pointless: it is no worse in the loss and every limited cost. Among exact equals the one with lower
/// unlimited costs stays, then the earlier one.
bool beats(const Choice& a, int a_index, const Choice& b, int b_index, const std::vector<double>& budgets) {
    if (a.loss > b.loss) return false;
    bool equal = a.loss == b.loss;
    for (std::size_t k = 0; k < budgets.size(); ++k) {
        if (std::isinf(budgets[k])) continue;
        if (a.costs[k] > b.costs[k]) return false;
        equal = equal && a.costs[k] == b.costs[k];
    }
    if (!equal || a.costs == b.costs) return !equal || a_index < b_index;
    return a.costs < b.costs;  // they differ only where nothing is limited
}

void reduce_group(const Problem& problem, const std::vector<Choice>& group, Reduced& result) {
    std::vector<int> kept;
    std::vector<double> least(static_cast<std::size_t>(result.budgets), std::numeric_limits<double>::infinity());
    for (const Choice& choice : group)
        for (int b = 0; b < result.budgets; ++b)
            if (usable(choice)) least[b] = std::min(least[b], choice.costs[result.budget_index[b]]);
    const auto share = [&](const Choice& choice, int b) {
        const double above = choice.costs[result.budget_index[b]] - least[b];
        return result.slack[b] > 0 ? above / result.slack[b] : above > 0 ? 2.0 : 0.0;
    };
    for (int i = 0; i < static_cast<int>(group.size()); ++i) {
        bool keep = usable(group[i]);
        for (int b = 0; keep && b < result.budgets; ++b) keep = share(group[i], b) <= 1 + 1e-12;
        for (int j = 0; keep && j < static_cast<int>(group.size()); ++j)
            keep = j == i || !usable(group[j]) || !beats(group[j], j, group[i], i, problem.budgets);
        if (keep) kept.push_back(i);
    }
    // Budgets can exclude every choice of a group: none is cheap enough in all costs at once.
    if (kept.empty()) result.possible = false;
    double least_loss = std::numeric_limits<double>::infinity();
    for (const int i : kept) least_loss = std::min(least_loss, group[i].loss);
    for (const int i : kept) {
        result.original.push_back(i);
        result.loss.push_back(group[i].loss - least_loss);
        for (int b = 0; b < result.budgets; ++b) result.cost.push_back(share(group[i], b));
    }
    result.base_loss += kept.empty() ? 0 : least_loss;
    result.first.push_back(static_cast<int>(result.original.size()));
}

}  // namespace

Reduced reduce(const Problem& problem) {
    check(problem);
    Reduced result;
    const auto least = least_totals(problem);
    for (std::size_t b = 0; b < problem.budgets.size(); ++b) {
        if (!within(least[b], problem.budgets[b])) result.possible = false;
        if (std::isinf(problem.budgets[b])) continue;
        result.budget_index.push_back(static_cast<int>(b));
        result.slack.push_back(std::max(0.0, problem.budgets[b] - least[b]));
    }
    result.budgets = static_cast<int>(result.budget_index.size());
    result.first = {0};
    if (!result.possible) return result;
    for (const auto& group : problem.groups) reduce_group(problem, group, result);
    return result;
}

std::vector<int> Reduced::chosen(const std::vector<int>& selection) const {
    std::vector<int> result;
    for (const int choice : selection) result.push_back(original[choice]);
    return result;
}

double Reduced::total_loss(const std::vector<int>& selection) const {
    double total = 0;
    for (const int choice : selection) total += loss[choice];
    return total;
}

bool Reduced::fits(const std::vector<int>& selection) const {
    for (int b = 0; b < budgets; ++b) {
        double total = 0;
        for (const int choice : selection) total += cost[choice * budgets + b];
        if (total > 1 + 1e-12) return false;
    }
    return true;
}

Allocation without_groups(const Problem& problem, const char* strategy) {
    Allocation result = evaluate(problem, {}, 0, strategy);
    result.details.set("seconds", 0.0).set("prices", core::Json::Array(problem.budgets.size())).set("proved", true);
    return result;
}

core::Json prices(const Problem& problem, const Reduced& reduced, const std::vector<double>& multipliers) {
    core::Json::Array result(problem.budgets.size());
    for (std::size_t b = 0; b < multipliers.size(); ++b)
        if (reduced.slack[b] > 0) result[reduced.budget_index[b]] = multipliers[b] / reduced.slack[b];
    return result;
}

}  // namespace tailor::search
