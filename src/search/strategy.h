// Choosing one candidate for every group under several budgets: the multiple-choice knapsack.
//
// A group is a tensor (or a layer) of the network; its choices are number formats (or operators). With l the loss and
// c_b the costs of a choice, and x_gi = 1 where group g takes choice i:
//
//     minimise   sum_g sum_i l_gi x_gi
//     subject to sum_g sum_i c_gib x_gi <= budget_b   for every budget b
//                sum_i x_gi = 1                       for every group g
//
// Losses are assumed to add up; whoever uses the answer measures the whole model again. A strategy is one way to solve
// this; each stands in one file of this folder.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace tailor::search {

/// One candidate of a group. A loss or cost that is not finite marks a candidate that must not be taken.
struct Choice {
    double loss = 0;            ///< any unit, may be negative; losses of all groups are added
    std::vector<double> costs;  ///< one per budget, in that budget's unit, not negative
};

struct Problem {
    std::vector<std::vector<Choice>> groups;
    std::vector<double> budgets;  ///< infinity: this cost is only reported
};

struct SolveOptions {
    double time_limit_seconds = 10;  ///< of wall time; then the best answer so far is given (it may differ from run to run)
    double relative_gap = 1e-4;      ///< stop when loss - lower_bound <= relative_gap * |loss|
};

/// An answer. When `feasible` is false, `chosen` and `totals` are empty, `loss` is infinite and `reason` says why.
struct Allocation {
    std::vector<int> chosen;     ///< index of the choice taken in each group
    double loss = 0;
    double lower_bound = 0;      ///< no allocation has a smaller loss, up to rounding (1e-9 of the loss)
    double gap = 0;              ///< (loss - lower_bound) / |loss|; 0 when both are equal
    std::vector<double> totals;  ///< total of each cost
    bool feasible = false;
    /// Least total of each cost by itself, whatever the others: a budget below it cannot be met.
    std::vector<double> least;
    std::string strategy;        ///< who found it
    std::string reason;          ///< for people, when not feasible
    /// For reports: "seconds"; "proved" (whether infeasibility or the gap asked for is certain); "prices", the loss that
    /// one more unit of each budget would save (null where unlimited or unknown); what the strategy adds.
    core::Json details;
};

/// One way to solve a Problem; the registry's entry type. `solve` is not called from two threads at once.
struct Strategy {
    const char* name;
    const char* doc;
    /// Throws Error(bug) for a malformed problem and Error(interrupted); anything else is an Allocation.
    Allocation (*solve)(const Problem& problem, const SolveOptions& options);
};

/// `total` <= `budget`, forgiving the rounding of a sum (1e-11 of the budget: far below one byte of any model).
bool within(double total, double budget);

/// Fills chosen, loss, totals, least, feasible (every budget met) of an allocation that takes `chosen`; `lower_bound` may
/// be minus infinity.
Allocation evaluate(const Problem& problem, std::vector<int> chosen, double lower_bound, const char* strategy);

/// The answer when nothing was found: feasible = false and a reason that names each budget which cannot be met alone, or
/// that they cannot be met together; `proved` false says instead that the search gave up.
Allocation infeasible(const Problem& problem, bool proved, const char* strategy);

/// The best answer of all strategies that are worth running: CBC, then the Lagrangian if CBC found nothing.
Allocation solve(const Problem& problem, const SolveOptions& options = {});

}  // namespace tailor::search
