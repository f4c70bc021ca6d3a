// Scales and their ticks; see scale.h.
#include "search/report/scale.h"

#include <algorithm>
#include <cmath>

namespace tailor::search::report {

// Forgives the rounding of log10 and of sums of steps, so that a limit that is a tick is shown as one.
static constexpr double slack = 1e-9;

Scale::Scale(double low, double high, double from, double to, bool logarithmic)
    : low_(low), high_(high), from_(from), to_(to), logarithmic_(logarithmic) {}

Scale Scale::linear(double low, double high, double from, double to) {
    if (!(high > low)) {
        const double half = low == 0 ? 1 : std::fabs(low) / 2;
        high = low + half, low -= half;
    }
    return {low, high, from, to, false};
}

Scale Scale::logarithmic(double low, double high, double from, double to) {
    if (!(high > low)) high = low * 2, low /= 2;
    return {low, high, from, to, true};
}

double Scale::operator()(double value) const {
    value = std::clamp(value, low_, high_);
    const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
    return from_ + share * (to_ - from_);
}

double round_step(double value) {
    const double power = std::pow(10.0, std::floor(std::log10(value)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= value * (1 - slack)) return factor * power;
    return 10 * power;
}

static std::vector<double> linear_ticks(double low, double high, int count) {
    const double step = round_step((high - low) / std::max(count, 1)), first = std::ceil(low / step - slack);
    std::vector<double> result;
    // Counted, because a range far narrower than its place (1e16 to 1e16 + 2) has steps that change nothing.
    for (int i = 0; i <= 2 * count && (first + i) * step <= high + slack * step; ++i) result.push_back((first + i) * step);
    return result;
}

static std::vector<double> logarithmic_ticks(double low, double high, int count) {
    const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
    const double decades = std::log10(high / low);
    const int every = std::max(1, static_cast<int>(std::lround(decades / std::max(count, 1))));
    const bool between = decades < 2.5;
    std::vector<double> result;
    for (double exponent = first; exponent <= last; exponent += every)
        for (const double factor : {1.0, 2.0, 5.0}) {
            if (factor > 1 && !between) break;
            const double value = factor * std::pow(10.0, exponent);
            if (value >= low * (1 - slack) && value <= high * (1 + slack)) result.push_back(value);
        }
    return result;
}

std::vector<double> Scale::ticks(int count) const {
    std::vector<double> result = logarithmic_ ? logarithmic_ticks(low_, high_, count) : linear_ticks(low_, high_, count);
    // Less than a factor of two on a logarithmic axis may hold no power of ten, no 2 and no 5.
    if (result.size() < 2 && logarithmic_) result = linear_ticks(low_, high_, count);
    if (result.empty()) result.push_back(low_);
    return result;
}

}  // namespace tailor::search::report
