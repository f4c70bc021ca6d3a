// Measuring, predicting and refining; see sensitivity.h.
#include "search/fit/sensitivity.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "core/error.h"
#include "core/statistics.h"

namespace tailor::search {
namespace {

class Deadline {
  public:
    explicit Deadline(double seconds) : end_(std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds)) {}
    bool passed() const { return std::chrono::steady_clock::now() >= end_; }

  private:
    std::chrono::time_point<std::chrono::steady_clock, std::chrono::duration<double>> end_;
};

// Relative weighted errors at which every weight is measured, in this order: about what formats of 3, 2, 4, 1.6 and 6 bits
// have. The first gives every weight its scale, the others the shape of its curve; then all that is left.
constexpr double probed_errors[] = {2e-2, 8e-2, 5e-3, 2.5e-1, 3e-4};

std::size_t nearest_choice(const Group& group, double error) {
    std::size_t best = 0;
    double distance = INFINITY;
    for (std::size_t c = 0; c < group.choices.size(); ++c) {
        if (group.choices[c].format == group.source || group.choices[c].error <= 0) continue;
        const double d = std::fabs(std::log(group.choices[c].error / error));
        if (d < distance) distance = d, best = c;
    }
    return best;
}

struct Probe {
    std::size_t group, choice;
};

std::vector<Probe> probes_in_order(const std::vector<Group>& groups) {
    std::vector<std::size_t> by_size(groups.size());
    std::iota(by_size.begin(), by_size.end(), std::size_t{0});
    std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) { return groups[a].shape.elements() > groups[b].shape.elements(); });
    std::vector<Probe> probes;
    for (const double error : probed_errors)
        for (const std::size_t g : by_size) probes.push_back({g, nearest_choice(groups[g], error)});
    for (const std::size_t g : by_size)
        for (std::size_t c = 0; c < groups[g].choices.size(); ++c) probes.push_back({g, c});
    return probes;
}

}  // namespace

std::int64_t measure_sensitivity(std::vector<Group>& groups, Evaluator& evaluator, double seconds, const FitCallbacks& callbacks) {
    const Deadline deadline(seconds);
    const Assignment base = original_assignment(groups);
    std::int64_t measured = 0, done = 0;
    const std::vector<Probe> probes = probes_in_order(groups);
    for (const Probe& probe : probes) {
        ++done;
        FormatChoice& choice = groups[probe.group].choices[probe.choice];
        if (choice.divergence >= 0) continue;
        Assignment swapped = base;
        swapped[probe.group] = static_cast<int>(probe.choice);
        // After the deadline whatever an earlier fit has measured is still taken.
        if (deadline.passed() && !evaluator.known(swapped)) continue;
        choice.divergence = evaluator.divergence(swapped);
        ++measured;
        if (callbacks.progress) callbacks.progress("measuring sensitivities", done, static_cast<std::int64_t>(probes.size()));
    }
    predict_divergences(groups);
    return measured;
}

void predict_divergences(std::vector<Group>& groups) {
    std::vector<double> ratios;
    for (const Group& group : groups)
        for (const FormatChoice& c : group.choices)
            if (c.divergence > 0 && c.error > 0) ratios.push_back(c.divergence / c.error);
    const double common = ratios.empty() ? 1.0 : core::median(ratios);
    for (Group& group : groups) {
        std::vector<std::pair<double, double>> known;  // (log error, log divergence), increasing
        for (const FormatChoice& c : group.choices)
            if (c.divergence > 0 && c.error > 0) known.emplace_back(std::log(c.error), std::log(c.divergence));
        std::sort(known.begin(), known.end());
        for (FormatChoice& c : group.choices) {
            if (c.divergence >= 0) { c.predicted = c.divergence; continue; }
            if (c.error <= 0) { c.predicted = 0; continue; }
            if (known.empty()) { c.predicted = common * c.error; continue; }
            const double x = std::log(c.error);
            const auto above = std::lower_bound(known.begin(), known.end(), std::pair<double, double>{x, -INFINITY});
            if (above == known.begin()) c.predicted = std::exp(known.front().second + x - known.front().first);
            else if (above == known.end()) c.predicted = std::exp(known.back().second + x - known.back().first);
            else {
                const auto below = above - 1;
                const double width = above->first - below->first, t = width > 1e-12 ? (x - below->first) / width : 0.5;
                c.predicted = std::exp(below->second * (1 - t) + above->second * t);
            }
        }
    }
}

namespace {

// Whole assignments, the best so far, and everything tried.
class Climb {
  public:
    Climb(std::vector<Group>& groups, const FixedCosts& fixed, const Budgets& budgets, double tightening, Evaluator& evaluator, Deadline deadline,
          const FitCallbacks& callbacks)
        : groups_(groups), fixed_(fixed), budgets_(budgets), evaluator_(evaluator), deadline_(deadline), callbacks_(callbacks) {
        if (budgets_.decode_nanoseconds) *budgets_.decode_nanoseconds *= tightening;
        if (budgets_.prompt_nanoseconds) *budgets_.prompt_nanoseconds *= tightening;
    }

    /// Measures an assignment that meets the budgets; true if it is the best so far. The first one is always measured.
    bool offer(const Assignment& assignment) {
        if (!meets(totals_of(groups_, assignment, fixed_), budgets_)) return false;
        if (!best.assignment.empty() && deadline_.passed() && !evaluator_.known(assignment)) return false;
        const double value = evaluator_.divergence(assignment);
        ++best.rounds;
        if (!best.assignment.empty() && value >= best.divergence) return false;
        best.assignment = assignment, best.divergence = value;
        if (callbacks_.note) callbacks_.note(core::format("  whole model measured: divergence {:.5g}", value));
        return true;
    }

    /// What restoring each weight to its source would gain in the present company, against what it was thought to cost
    /// alone; rescales the weight's predictions by that ratio.
    void rescale() {
        const Assignment base = best.assignment;
        const double level = best.divergence;
        for (std::size_t g = 0; g < groups_.size() && !deadline_.passed(); ++g) {
            const double alone = groups_[g].choices[static_cast<std::size_t>(base[g])].predicted;
            if (alone <= 0) continue;
            Assignment restored = base;
            restored[g] = static_cast<int>(groups_[g].index_of(*groups_[g].source));
            const double gain = level - evaluator_.divergence(restored);
            // A gain can be lost in noise, or negative when errors cancel: then the weight is cheap, not free.
            const double ratio = std::clamp(gain / alone, 0.1, 10.0);
            for (FormatChoice& c : groups_[g].choices) c.predicted *= ratio;
            if (callbacks_.progress) callbacks_.progress("measuring weights in company", static_cast<std::int64_t>(g + 1), static_cast<std::int64_t>(groups_.size()));
        }
    }

    /// Random exchanges: one weight cheaper, one dearer, kept when the whole model gets better.
    void exchange(std::uint64_t seed) {
        std::mt19937_64 random(seed);
        int failures = 0;
        while (!deadline_.passed() && failures < 200) {
            Assignment next = best.assignment;
            const std::size_t down = random() % groups_.size(), up = random() % groups_.size();
            if (down == up) continue;
            if (next[down] > 0 && random() % 4 != 0) next[down] -= 1 + static_cast<int>(random() % std::min<std::uint64_t>(2, static_cast<std::uint64_t>(next[down])));
            next[up] = std::min<int>(next[up] + 1 + static_cast<int>(random() % 2), static_cast<int>(groups_[up].choices.size()) - 1);
            if (next == best.assignment) continue;
            failures = offer(next) ? 0 : failures + 1;
        }
    }

    Refined best;

  private:
    std::vector<Group>& groups_;
    const FixedCosts& fixed_;
    Budgets budgets_;
    Evaluator& evaluator_;
    Deadline deadline_;
    const FitCallbacks& callbacks_;
};

}  // namespace

Refined refine(std::vector<Group> groups, const FixedCosts& fixed, const Budgets& budgets, double time_tightening, Evaluator& evaluator,
               const std::vector<Assignment>& starts, double seconds, const FitCallbacks& callbacks) {
    Climb climb(groups, fixed, budgets, time_tightening, evaluator, Deadline(seconds), callbacks);
    for (const Assignment& start : starts) climb.offer(start);
    const Deadline deadline(seconds);
    for (int round = 0; round < 4 && !deadline.passed() && !climb.best.assignment.empty(); ++round) {
        const double before = climb.best.divergence;
        climb.rescale();
        const Allocation next = solve(make_problem(groups, fixed, budgets, time_tightening), {.time_limit_seconds = 5});
        if (next.feasible) climb.offer(next.chosen);
        if (climb.best.divergence > 0.99 * before) break;
    }
    if (!climb.best.assignment.empty()) climb.exchange(1);
    return climb.best;
}

}  // namespace tailor::search
