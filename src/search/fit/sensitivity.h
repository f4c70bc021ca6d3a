// How much each choice of each weight costs in divergence: measured where time allows, predicted elsewhere.
#pragma once
#include "search/fit/choices.h"
#include "search/fit/evaluator.h"

namespace tailor::search {

/// Fills FormatChoice::divergence by swapping single weights until `seconds` have passed (results already in the store cost
/// nothing), then FormatChoice::predicted for all. Returns how many choices are measured.
std::int64_t measure_sensitivity(std::vector<Group>& groups, Evaluator& evaluator, double seconds, const FitCallbacks& callbacks);

/// Fills `predicted`: the measured value, or one on the line through the nearest measured choices of the same weight in
/// log(error) and log(divergence); beyond them proportional to the error, which is exact for small errors (the divergence
/// is quadratic in the perturbation); without any measurement, the model-wide ratio of divergence to error.
void predict_divergences(std::vector<Group>& groups);

/// Improves an assignment by measuring whole assignments until `seconds` have passed. `improved` is called with each
/// better one. Returns the best with its divergence.
struct Refined {
    Assignment assignment;
    double divergence = 0;
    std::int64_t rounds = 0;
};
Refined refine(std::vector<Group> groups, const FixedCosts& fixed, const Budgets& budgets, double time_tightening, Evaluator& evaluator,
               const std::vector<Assignment>& starts, double seconds, const FitCallbacks& callbacks);

}  // namespace tailor::search
