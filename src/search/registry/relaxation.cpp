// The Lagrangian relaxation; what it is stands in lagrange.cpp.
//
// Two stages. First all multipliers are equal to one number t: bisection finds the t where the minimisers begin to fit.
// With one budget that is already the best bound. Then subgradient steps of Polyak's length,
//
//     multiplier_b += theta (best loss - L) / |g|^2 * g_b,     g_b = total_b - 1 (the excess at the minimiser),
//
// kept at or above 0; theta halves when the bound has not risen for 20 steps.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "search/relaxation.h"

namespace tailor::search {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

class Search {
  public:
    Search(const Reduced& problem, const SolveOptions& options)
        : p_(problem), seconds_(options.time_limit_seconds) {
        result_.bound = 0;  // every reduced loss is at least 0
        result_.loss = infinity;
        result_.multipliers.assign(static_cast<std::size_t>(p_.budgets), 0.0);
    }

    Relaxation run() {
        evaluate(std::vector<double>(static_cast<std::size_t>(p_.budgets), 0.0));
        if (!done()) bisect();
        if (!done() && p_.budgets > 1) climb();
        if (!result_.selection.empty() && !done()) {
            improve_pairs(p_, result_.selection, 20);
            result_.loss = p_.total_loss(result_.selection);
        }
        return std::move(result_);
    }

  private:
    /// Out of time, or nothing left to gain: the steps after that asked for cost little and make the prices better.
    bool done() const {
        if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count() >= seconds_) return true;
        return !result_.selection.empty() && result_.loss - result_.bound <= 1e-9 * (std::fabs(p_.base_loss) + result_.loss);
    }

    /// The bound at `multipliers`; fills excess_ and minimiser_, and keeps what is better than before.
    double evaluate(const std::vector<double>& multipliers) {
        core::check_interrupt();
        ++result_.iterations;
        excess_.assign(static_cast<std::size_t>(p_.budgets), -1.0);
        minimiser_.clear();
        double bound = 0;
        for (int g = 0; g < p_.groups(); ++g) {
            double least = infinity;
            int choice = p_.first[g];
            for (int c = p_.first[g]; c < p_.first[g + 1]; ++c) {
                double value = p_.loss[c];
                for (int b = 0; b < p_.budgets; ++b) value += multipliers[b] * p_.cost[c * p_.budgets + b];
                if (value < least) least = value, choice = c;
            }
            bound += least;
            minimiser_.push_back(choice);
            for (int b = 0; b < p_.budgets; ++b) excess_[b] += p_.cost[choice * p_.budgets + b];
        }
        for (const double m : multipliers) bound -= m;
        if (bound > result_.bound) result_.bound = bound, result_.multipliers = multipliers;
        if (minimiser_ != last_tried_) offer();
        return bound;
    }

    void offer() {
        last_tried_ = minimiser_;
        auto selection = minimiser_;
        if (!repair(p_, selection)) return;
        improve(p_, selection);
        const double loss = p_.total_loss(selection);
        if (loss < result_.loss && p_.fits(selection)) result_.loss = loss, result_.selection = std::move(selection);
    }

    bool minimiser_fits() const { return std::all_of(excess_.begin(), excess_.end(), [](double e) { return e <= 0; }); }

    void bisect() {
        const auto at = [&](double t) { evaluate(std::vector<double>(static_cast<std::size_t>(p_.budgets), t)); };
        double scale = 0;
        for (const double l : p_.loss) scale = std::max(scale, l);
        double low = 0, high = std::max(scale, 1e-300);
        // Beyond this the minimisers are those of least cost; if they do not fit, equal multipliers never will.
        for (int i = 0; i < 60; ++i) {
            at(high);
            if (minimiser_fits() || done()) break;
            low = high, high *= 4;
        }
        for (int i = 0; i < 60 && !done() && high - low > 1e-12 * high; ++i) {
            const double middle = low + (high - low) / 2;
            at(middle);
            (minimiser_fits() ? high : low) = middle;
        }
    }

    void climb() {
        constexpr int steps = 1500, patience = 20;
        double theta = 1;
        int without = 0;
        auto multipliers = result_.multipliers;
        for (int step = 0; step < steps && !done() && theta > 1e-6; ++step) {
            const double before = result_.bound;
            const double value = evaluate(multipliers);
            double square = 0;
            for (int b = 0; b < p_.budgets; ++b)
                if (multipliers[b] > 0 || excess_[b] > 0) square += excess_[b] * excess_[b];
            if (square == 0) break;
            without = result_.bound > before + 1e-12 * std::fabs(before) ? 0 : without + 1;
            if (without >= patience) without = 0, theta /= 2, multipliers = result_.multipliers;
            else {
                const double target = std::isfinite(result_.loss) ? result_.loss : 2 * result_.bound + 1e-12;
                const double length = theta * std::max(target - value, 1e-12 * (1 + std::fabs(target))) / square;
                for (int b = 0; b < p_.budgets; ++b) multipliers[b] = std::max(0.0, multipliers[b] + length * excess_[b]);
            }
        }
    }

    const Reduced& p_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double seconds_;
    Relaxation result_;
    std::vector<double> excess_;
    std::vector<int> minimiser_, last_tried_;
};

}  // namespace

Relaxation relax(const Reduced& problem, const SolveOptions& options) { return Search(problem, options).run(); }

}  // namespace tailor::search
