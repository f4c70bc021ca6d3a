// Local search: making a selection fit, and making one that fits better; see relaxation.h.
//
// All work on totals kept up to date, so that judging one swap costs a few operations per budget. Every loop takes the
// best swap of a full pass and stops when none helps; ties go to the first, so the same input gives the same answer.
#include <algorithm>
#include <limits>

#include "search/relaxation.h"

namespace tailor::search {

namespace {

constexpr double limit = 1 + 1e-12;  // as Reduced::fits

struct Swap {
    int group = -1, choice = -1;
};

std::vector<double> totals_of(const Reduced& p, const std::vector<int>& selection) {
    std::vector<double> totals(static_cast<std::size_t>(p.budgets), 0.0);
    for (const int choice : selection)
        for (int b = 0; b < p.budgets; ++b) totals[b] += p.cost[choice * p.budgets + b];
    return totals;
}

void apply(const Reduced& p, const Swap& swap, std::vector<int>& selection, std::vector<double>& totals) {
    for (int b = 0; b < p.budgets; ++b)
        totals[b] += p.cost[swap.choice * p.budgets + b] - p.cost[selection[swap.group] * p.budgets + b];
    selection[swap.group] = swap.choice;
}

/// Sum over budgets of what lies above them, if `from` were replaced by `to`.
double excess(const Reduced& p, const std::vector<double>& totals, int from, int to) {
    double sum = 0;
    for (int b = 0; b < p.budgets; ++b) {
        const double over = totals[b] + p.cost[to * p.budgets + b] - p.cost[from * p.budgets + b] - limit;
        if (over > 0) sum += over;
    }
    return sum;
}

}  // namespace

bool repair(const Reduced& p, std::vector<int>& selection) {
    for (;;) {
        auto totals = totals_of(p, selection);  // afresh: increments would let rounding grow
        const double before = selection.empty() ? 0 : excess(p, totals, selection[0], selection[0]);
        if (before <= 0) return true;
        // Less is rounding, and swaps that gain nothing could go round in circles.
        const double least_gain = std::min(before / 2, 1e-12 * (1 + before));
        Swap best;
        double best_score = -std::numeric_limits<double>::infinity();
        for (int g = 0; g < p.groups(); ++g)
            for (int c = p.first[g]; c < p.first[g + 1]; ++c) {
                if (c == selection[g]) continue;
                const double gained = before - excess(p, totals, selection[g], c);
                if (gained <= least_gain) continue;
                // Excess removed per loss added; swaps that also lower the loss come before all others.
                const double added = p.loss[c] - p.loss[selection[g]];
                const double score = added > 0 ? -added / gained : gained * 1e300;
                if (score > best_score) best_score = score, best = {g, c};
            }
        if (best.group < 0) return false;
        apply(p, best, selection, totals);
    }
}

void improve(const Reduced& p, std::vector<int>& selection) {
    auto totals = totals_of(p, selection);
    for (;;) {
        Swap best;
        double best_score = 0;
        for (int g = 0; g < p.groups(); ++g)
            for (int c = p.first[g]; c < p.first[g + 1]; ++c) {
                const double saved = p.loss[selection[g]] - p.loss[c];
                if (saved <= 0 || excess(p, totals, selection[g], c) > 0) continue;
                double used = 1e-9;  // loss saved per share of what is left
                for (int b = 0; b < p.budgets; ++b) {
                    const double more = p.cost[c * p.budgets + b] - p.cost[selection[g] * p.budgets + b];
                    if (more > 0) used += more / std::max(limit - totals[b], 1e-12);
                }
                if (saved / used > best_score) best_score = saved / used, best = {g, c};
            }
        if (best.group < 0) return;
        apply(p, best, selection, totals);
        totals = totals_of(p, selection);
    }
}

void improve_pairs(const Reduced& p, std::vector<int>& selection, int swaps) {
    // The pairs grow with the square: 20,000 choices are a second.
    if (p.choices() > 20'000) return;
    for (int round = 0; round < swaps; ++round) {
        const auto totals = totals_of(p, selection);
        std::vector<Swap> moves;
        std::vector<double> added;
        for (int g = 0; g < p.groups(); ++g)
            for (int c = p.first[g]; c < p.first[g + 1]; ++c)
                if (c != selection[g]) moves.push_back({g, c});
        const auto delta = [&](const Swap& s) { return p.loss[s.choice] - p.loss[selection[s.group]]; };
        std::stable_sort(moves.begin(), moves.end(), [&](const Swap& a, const Swap& b) { return delta(a) < delta(b); });
        for (const Swap& m : moves) added.push_back(delta(m));
        double best = -1e-12 * (1 + p.total_loss(selection));
        std::size_t best_first = 0, best_second = 0;
        for (std::size_t i = 0; i < moves.size() && added[i] < 0; ++i)
            for (std::size_t j = i + 1; j < moves.size() && added[i] + added[j] < best; ++j) {
                if (moves[i].group == moves[j].group) continue;
                bool fits = true;
                for (int b = 0; fits && b < p.budgets; ++b) {
                    const double more = p.cost[moves[i].choice * p.budgets + b] - p.cost[selection[moves[i].group] * p.budgets + b] +
                                        p.cost[moves[j].choice * p.budgets + b] - p.cost[selection[moves[j].group] * p.budgets + b];
                    fits = totals[b] + more <= limit;
                }
                if (fits) best = added[i] + added[j], best_first = i, best_second = j;
            }
        if (best_second == 0) return;
        selection[moves[best_first].group] = moves[best_first].choice;
        selection[moves[best_second].group] = moves[best_second].choice;
        improve(p, selection);
    }
}

}  // namespace tailor::search
