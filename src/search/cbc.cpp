// Strategy: exact integer programming with COIN-OR CBC (branch and cut). The only file that includes CBC.
//
// One 0/1 variable per choice, one equation per group, one row per limited budget, from the reduced problem of
// relaxation.h. The Lagrangian runs first: it gives CBC a solution to start from, a bound to stop at, and the scale of
// the objective. Often it closes the gap by itself.
//
// Scaling: CBC's tolerances are absolute (1e-6 for rows, 1e-7 for the objective), so budgets become 1000 and the first
// solution's loss 1000. A row may still be overstepped by 1e-9 of its slack; each answer is therefore checked to 1e-12,
// and one that oversteps is excluded by a row of its own and CBC asked again. That is better than shaving the budgets,
// which would exclude answers that meet a budget exactly.
#include <coin/Cbc_C_Interface.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>

#include "core/error.h"
#include "search/relaxation.h"

namespace tailor::search::entries {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double row_scale = 1000;

struct Deleter {
    void operator()(Cbc_Model* model) const { Cbc_deleteModel(model); }
};
using Model = std::unique_ptr<Cbc_Model, Deleter>;

Model build(const Reduced& p, double objective_scale, const std::vector<std::vector<int>>& excluded) {
    Model model(Cbc_newModel());
    Cbc_setLogLevel(model.get(), 0);
    for (int c = 0; c < p.choices(); ++c) {
        const std::string name = core::format("x{}", c);
        Cbc_addCol(model.get(), name.c_str(), 0, 1, p.loss[c] * objective_scale, 1, 0, nullptr, nullptr);
    }
    std::vector<int> columns;
    std::vector<double> values;
    const auto add_row = [&](const std::string& name, char sense, double bound) {
        Cbc_addRow(model.get(), name.c_str(), static_cast<int>(columns.size()), columns.data(), values.data(), sense, bound);
        columns.clear(), values.clear();
    };
    for (int g = 0; g < p.groups(); ++g) {
        for (int c = p.first[g]; c < p.first[g + 1]; ++c) columns.push_back(c), values.push_back(1);
        add_row(core::format("group{}", g), 'E', 1);
    }
    for (int b = 0; b < p.budgets; ++b) {
        for (int c = 0; c < p.choices(); ++c)
            if (const double cost = p.cost[c * p.budgets + b]; cost > 0) columns.push_back(c), values.push_back(cost * row_scale);
        if (!columns.empty()) add_row(core::format("budget{}", b), 'L', row_scale);
    }
    for (std::size_t e = 0; e < excluded.size(); ++e) {
        for (const int c : excluded[e]) columns.push_back(c), values.push_back(1);
        add_row(core::format("excluded{}", e), 'L', p.groups() - 1);
    }
    return model;
}

/// The choice with the largest share in each group.
std::vector<int> round(const Reduced& p, const double* shares) {
    std::vector<int> selection;
    for (int g = 0; g < p.groups(); ++g)
        selection.push_back(static_cast<int>(std::max_element(shares + p.first[g], shares + p.first[g + 1]) - shares));
    return selection;
}

struct Outcome {
    std::vector<int> selection;  // best that fits
    double loss = 0, bound = 0;
    bool infeasible = false, proved = false;
    int nodes = 0;
};

void configure(Cbc_Model* model, const SolveOptions& options, double seconds, double allowed_gap) {
    Cbc_setParameter(model, "timeMode", "elapsed");
    Cbc_setMaximumSeconds(model, seconds);
    Cbc_setAllowableFractionGap(model, options.relative_gap);
    Cbc_setAllowableGap(model, allowed_gap);
}

/// Branch and cut until proved, out of time, or eight answers in a row overstepped a budget.
void branch(const Reduced& p, const SolveOptions& options, Clock::time_point start, Outcome& outcome) {
    const bool started = !outcome.selection.empty();
    const double largest = *std::max_element(p.loss.begin(), p.loss.end());
    const double reference = started && outcome.loss > 0 ? outcome.loss : largest > 0 ? largest : 1.0;
    const double scale = 1000 / reference;
    std::vector<std::vector<int>> excluded;
    for (int attempt = 0; attempt < 8; ++attempt) {
        const double seconds = options.time_limit_seconds - std::chrono::duration<double>(Clock::now() - start).count();
        if (seconds <= 0) return;
        const Model model = build(p, scale, excluded);
        // The gap asked for is relative to the whole loss, of which the reduced problem sees only a part.
        const double whole = std::fabs(p.base_loss + outcome.bound);
        configure(model.get(), options, seconds, std::max(options.relative_gap * whole * scale, 1e-7));
        if (started) {
            const std::vector<double> ones(outcome.selection.size(), 1.0);
            Cbc_setMIPStartI(model.get(), static_cast<int>(ones.size()), outcome.selection.data(), ones.data());
        }
        Cbc_solve(model.get());
        core::check_interrupt();  // CBC itself cannot be stopped before its time limit
        outcome.nodes += Cbc_getNodeCount(model.get());
        if (Cbc_isProvenInfeasible(model.get())) {
            // Beside an answer that fits this would be an error of rounding, and is no news.
            outcome.infeasible = outcome.selection.empty();
            return;
        }
        const double bound = Cbc_getBestPossibleObjValue(model.get()) / scale;
        if (std::isfinite(bound) && std::fabs(bound) < 1e40) outcome.bound = std::max(outcome.bound, bound - 1e-9 * reference);
        const double* const shares = Cbc_bestSolution(model.get());
        if (!shares) return;
        auto selection = round(p, shares);
        const bool fits = p.fits(selection);
        auto candidate = selection;
        if (fits || repair(p, candidate)) {
            improve(p, candidate);
            const double loss = p.total_loss(candidate);
            const bool better = outcome.selection.empty() || loss < outcome.loss;
            if (better && p.fits(candidate)) outcome.selection = candidate, outcome.loss = loss;
        }
        if (fits) {
            outcome.proved = Cbc_isProvenOptimal(model.get());
            return;
        }
        excluded.push_back(std::move(selection));
    }
}

Allocation solve(const Problem& problem, const SolveOptions& options) {
    const auto start = Clock::now();
    const Reduced reduced = reduce(problem);
    if (!reduced.possible) return infeasible(problem, true, "cbc");
    if (reduced.groups() == 0) return without_groups(problem, "cbc");
    const Relaxation relaxation = relax(reduced, {options.time_limit_seconds / 4, options.relative_gap});
    Outcome outcome{.selection = relaxation.selection, .loss = relaxation.loss, .bound = relaxation.bound};
    const double allowed = options.relative_gap * std::fabs(reduced.base_loss + outcome.loss);
    outcome.proved = !outcome.selection.empty() && outcome.loss - outcome.bound <= std::max(allowed, 1e-12 * outcome.loss);
    if (!outcome.proved) branch(reduced, options, start, outcome);

    Allocation result = outcome.selection.empty()
                            ? infeasible(problem, outcome.infeasible, "cbc")
                            : evaluate(problem, reduced.chosen(outcome.selection), reduced.base_loss + outcome.bound, "cbc");
    result.details.set("seconds", std::chrono::duration<double>(Clock::now() - start).count());
    result.details.set("nodes", outcome.nodes);
    result.details.set("prices", prices(problem, reduced, relaxation.multipliers));
    if (result.feasible) result.details.set("proved", outcome.proved);
    return result;
}

}  // namespace

extern const Strategy cbc = {
    .name = "cbc",
    .doc = "Exact integer programming with COIN-OR CBC, started from the Lagrangian's answer; it proves its gap or stops at "
           "the time limit",
    .solve = solve,
};

}  // namespace tailor::search::entries
