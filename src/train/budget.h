// How long a training may take, in steps, in time or both, and the rate of each step within that.
//
// A schedule is a function of steps. Where time is limited their number is not known beforehand, so the share of the time that will have
// passed when a step ends takes the place of its share of the steps: the rate then reaches its end when the time does, whatever else
// the machine has to do meanwhile. Of two limits the one that is nearer counts.
#pragma once
#include <cstdint>

#include "train/schedules/schedule.h"

namespace tailor::train {

struct Budget {
    std::int64_t steps = 0;   ///< 0: not limited
    double seconds = 0;       ///< 0: not limited
    std::int64_t warmup = 0;  ///< steps; 0: a twentieth of the steps or of the time

    /// The share that is used up after so many steps and seconds; at most 1.
    double share(std::int64_t steps_done, double seconds_done) const;
    /// True if no further step fits that takes `step_seconds`. A first step always does.
    bool over(std::int64_t steps_done, double seconds_done, double step_seconds) const;
    /// The rate of step `step` (from 1), which ends after `seconds_then`.
    double rate(const schedules::Schedule& schedule, double peak, std::int64_t step, double seconds_then) const;
};

}  // namespace tailor::train
