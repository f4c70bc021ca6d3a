// What the strategies share: a reduced problem in plain arrays, and its Lagrangian relaxation.
//
// Reduction: only limited budgets remain. From every cost its group's least is subtracted and the rest divided by what
// the budget leaves, so that every budget is 1; from every loss its group's least is subtracted. A choice that costs
// more than 1 can be in no answer and goes; so does a choice that another one of its group beats or equals in the loss
// and in every limited cost. Magnitudes then no longer matter: 1e9 bytes stand beside 1e7 nanoseconds.
#pragma once
#include <vector>

#include "search/strategy.h"

namespace tailor::search {

struct Reduced {
    int budgets = 0;                ///< limited ones
    std::vector<int> budget_index;  ///< their places in Problem::budgets
    std::vector<double> slack;      ///< per limited budget: the budget less every group's least cost, in its own unit
    std::vector<int> first;         ///< choices of group g are first[g] .. first[g + 1] - 1
    std::vector<double> loss;       ///< per choice, above the group's least
    std::vector<double> cost;       ///< [choice * budgets + b], above the group's least, as a share of slack[b]
    std::vector<int> original;      ///< per choice, its index in Problem::groups[g]
    double base_loss = 0;           ///< sum of the groups' least losses
    bool possible = true;           ///< false: some budget cannot be met even alone, and nothing else is filled

    int groups() const { return static_cast<int>(first.size()) - 1; }
    int choices() const { return first.back(); }
    /// Indices in Problem::groups of a selection given as choices of this problem, one per group.
    std::vector<int> chosen(const std::vector<int>& selection) const;
    double total_loss(const std::vector<int>& selection) const;
    /// Whether the selection keeps every budget.
    bool fits(const std::vector<int>& selection) const;
};

/// Throws Error(bug) naming the group when a problem is malformed: a group without a usable choice, a choice whose costs
/// are not one per budget, a negative cost, a budget that is NaN.
Reduced reduce(const Problem& problem);

/// For every cost, the sum over groups of the least that a usable choice has.
std::vector<double> least_totals(const Problem& problem);

struct Relaxation {
    double bound = 0;                 ///< no selection has a smaller total_loss
    std::vector<double> multipliers;  ///< per limited budget: loss per share of its slack, at the best bound
    std::vector<int> selection;       ///< best that fits; empty when none was found
    double loss = 0;                  ///< its total_loss
    int iterations = 0;
};

/// Maximises the Lagrangian bound, making every minimiser met on the way into a selection that fits; see lagrange.cpp.
Relaxation relax(const Reduced& problem, const SolveOptions& options);

/// Swaps single choices until every budget is met, each time the one that gives most for the loss it adds. False: stuck.
bool repair(const Reduced& problem, std::vector<int>& selection);
/// From a selection that fits: swaps single choices while one lowers the loss and still fits.
void improve(const Reduced& problem, std::vector<int>& selection);
/// The same with two groups at a time, at most `swaps` times; worth its time only on a final answer.
void improve_pairs(const Reduced& problem, std::vector<int>& selection, int swaps);

/// The answer to a problem without groups: nothing is chosen, nothing is lost, every budget is met.
Allocation without_groups(const Problem& problem, const char* strategy);
/// The prices for Allocation::details from multipliers of a reduced problem.
core::Json prices(const Problem& problem, const Reduced& reduced, const std::vector<double>& multipliers);

}  // namespace tailor::search
