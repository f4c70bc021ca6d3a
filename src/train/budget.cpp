// Shares and rates; see budget.h.
#include "train/budget.h"

#include <algorithm>
#include <cmath>

namespace tailor::train {

double Budget::share(std::int64_t steps_done, double seconds_done) const {
    const double by_steps = steps > 0 ? static_cast<double>(steps_done) / static_cast<double>(steps) : 0, by_time = seconds > 0 ? seconds_done / seconds : 0;
    return std::min(1.0, std::max(by_steps, by_time));
}

bool Budget::over(std::int64_t steps_done, double seconds_done, double step_seconds) const {
    if (steps > 0 && steps_done >= steps) return true;
    return seconds > 0 && steps_done > 0 && seconds_done + step_seconds > seconds;
}

double Budget::rate(const schedules::Schedule& schedule, double peak, std::int64_t step, double seconds_then) const {
    if (seconds == 0) return schedule.rate(peak, step, {warmup > 0 ? warmup : steps / 20, steps});
    // Time in millionths, as if these were steps: finer than any training's.
    constexpr std::int64_t ticks = 1'000'000;
    const auto at = std::max<std::int64_t>(1, std::llround(share(step, seconds_then) * static_cast<double>(ticks)));
    return schedule.rate(peak, at, {ticks / 20, ticks});
}

}  // namespace tailor::train
