// Look-ups over the table that CMake writes, the shape of answers, and the choice among strategies; see registry.h.
#include "search/registry.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "search/relaxation.h"

namespace tailor::search {

using core::format;

const Strategy* find(std::string_view name) {
    for (const Strategy* strategy : all())
        if (strategy->name == name) return strategy;
    return nullptr;
}

const Strategy& get(std::string_view name) {
    if (const Strategy* strategy = find(core::lower(name))) return *strategy;
    std::vector<std::string> names;
    for (const Strategy* strategy : all()) names.emplace_back(strategy->name);
    core::fail(core::ErrorKind::usage, "there is no search strategy '{}'; there are {}", name, core::join(names, ", "));
}

bool within(double total, double budget) { return total <= budget + 1e-11 * std::fabs(budget); }

Allocation evaluate(const Problem& problem, std::vector<int> chosen, double lower_bound, const char* strategy) {
    Allocation result;
    result.totals.assign(problem.budgets.size(), 0.0);
    for (std::size_t g = 0; g < problem.groups.size(); ++g) {
        const Choice& choice = problem.groups[g].at(static_cast<std::size_t>(chosen[g]));
        result.loss += choice.loss;
        for (std::size_t b = 0; b < problem.budgets.size(); ++b) result.totals[b] += choice.costs[b];
    }
    result.feasible = true;
    for (std::size_t b = 0; b < problem.budgets.size(); ++b)
        result.feasible = result.feasible && within(result.totals[b], problem.budgets[b]);
    result.chosen = std::move(chosen);
    result.lower_bound = std::min(lower_bound, result.loss);
    const double size = std::fabs(result.loss);
    result.gap = result.loss > result.lower_bound ? (result.loss - result.lower_bound) / std::max(size, 1e-300) : 0;
    result.least = least_totals(problem);
    result.strategy = strategy;
    return result;
}

Allocation infeasible(const Problem& problem, bool proved, const char* strategy) {
    Allocation result;
    result.loss = std::numeric_limits<double>::infinity();
    result.lower_bound = -std::numeric_limits<double>::infinity();
    result.gap = std::numeric_limits<double>::infinity();
    result.least = least_totals(problem);
    result.strategy = strategy;
    std::vector<std::string> unreachable;
    for (std::size_t b = 0; b < problem.budgets.size(); ++b)
        if (!within(result.least[b], problem.budgets[b]))
            unreachable.push_back(format("budget {} asks for at most {:.6g}, but no choice gives less than {:.6g}", b + 1,
                                         problem.budgets[b], result.least[b]));
    if (!unreachable.empty()) result.reason = core::join(unreachable, "; ");
    else if (proved) result.reason = "each budget can be met by itself, but not all of them together";
    else result.reason = "no allocation was found that meets all budgets together, nor a proof that there is none";
    result.details.set("proved", proved);
    return result;
}

Allocation solve(const Problem& problem, const SolveOptions& options) {
    Allocation best = get("cbc").solve(problem, options);
    const bool settled = best.details.at("proved").boolean();
    if (best.feasible || settled) return best;
    // CBC found nothing within its time although nothing forbids an answer: the relaxation gets the whole time again.
    Allocation other = get("lagrange").solve(problem, options);
    if (!other.feasible) return best;
    return other;
}

}  // namespace tailor::search
