// Schedules: the learning rate of each step.
//
// A schedule is one file src/train/schedules/<name>.cpp that defines `extern const Schedule <name>` in namespace
// tailor::train::schedules::entries: a function of the step and nothing else, so that a run that is resumed has the same rates. All
// rise in a line over the steps of the warm-up.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string_view>

namespace tailor::train::schedules {

struct Span {
    std::int64_t warmup = 0, steps = 1;  ///< the rate stands at its peak at step `warmup`; the last step is `steps`
};

struct Schedule {
    std::string_view name;  ///< "cosine"
    std::string_view doc;   ///< one sentence
    /// The share of the peak at `step`, which is above span.warmup and counts from 1; at most 1.
    double (*share)(std::int64_t step, const Span& span) = nullptr;

    /// The rate at any step.
    double rate(double peak, std::int64_t step, const Span& span) const {
        return peak * (step <= span.warmup ? static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, span.warmup)) : share(step, span));
    }
};

}  // namespace tailor::train::schedules
