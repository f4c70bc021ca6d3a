// What is compared between candidates: one row of this table is a row of the page's first table, a panel of its first
// figure and an entry of the explanations below them.
#pragma once
#include <span>
#include <string>

#include "search/report/plan.h"
#include "search/report/units.h"

namespace tailor::search::report {

enum class Better { lower, higher };
enum class Mark {
    none,  ///< no panel
    bar,   ///< from zero: for amounts
    dot,   ///< on a cut axis: for values that differ little
};

struct Metric {
    const char* name;
    const char* meaning;  ///< one plain sentence
    Unit unit;
    Measured Candidate::*value;
    Better better;
    Mark mark;
    const char* budget;        ///< the budget that limits it, or nullptr
    Number Predicted::*predicted;  ///< or nullptr
    bool against_original;     ///< a distance from the original model, which itself has none
};

std::span<const Metric> metrics();
/// The row whose `value` is this member.
const Metric& metric(Measured Candidate::*value);

/// True when the two differ by more than two standard errors of their difference; exact values always do unless equal.
bool differs(const Measured& a, const Measured& b);

/// Whether a value keeps within the budget of its metric; true when there is none.
bool keeps(const Plan& plan, const Metric& metric, const Candidate& candidate);

}  // namespace tailor::search::report
