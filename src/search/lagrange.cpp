// Strategy: Lagrangian relaxation with greedy completion.
//
// Give every budget b a price m_b >= 0 and charge for what is used instead of limiting it:
//
//     L(m) = sum_g min_i (l_gi + sum_b m_b c_gib) - sum_b m_b budget_b.
//
// For any prices L(m) is at most the least loss that fits, and each group decides for itself, so evaluating L is one
// pass over the choices. L is concave; its maximum is the bound reported here, equal to that of linear programming (A.
// Geoffrion, 1974). The minimisers met on the way nearly fit: swaps make them fit and then use up what is left. On a
// network of hundreds of tensors one choice more or less hardly counts, so the gap is far below one percent, in
// milliseconds. It proves infeasibility only where a budget cannot be met even alone.
#include <algorithm>
#include <chrono>

#include "search/relaxation.h"

namespace tailor::search::entries {

static Allocation solve(const Problem& problem, const SolveOptions& options) {
    const auto start = std::chrono::steady_clock::now();
    const Reduced reduced = reduce(problem);
    if (!reduced.possible) return infeasible(problem, true, "lagrange");
    if (reduced.groups() == 0) return without_groups(problem, "lagrange");
    const Relaxation relaxation = relax(reduced, options);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

    const double lower_bound = reduced.base_loss + relaxation.bound;
    Allocation result = relaxation.selection.empty()
                            ? infeasible(problem, false, "lagrange")
                            : evaluate(problem, reduced.chosen(relaxation.selection), lower_bound, "lagrange");
    result.details.set("seconds", seconds).set("iterations", relaxation.iterations);
    result.details.set("prices", prices(problem, reduced, relaxation.multipliers));
    if (result.feasible) result.details.set("proved", result.gap <= std::max(options.relative_gap, 1e-9));
    return result;
}

extern const Strategy lagrange = {
    .name = "lagrange",
    .doc = "Lagrangian relaxation: a price for each budget, found by subgradient steps, then greedy swaps; near-optimal in "
           "milliseconds, with a bound",
    .solve = solve,
};

}  // namespace tailor::search::entries
