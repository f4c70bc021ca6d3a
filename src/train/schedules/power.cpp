// Power: down along a power of the steps made, then to almost nothing in a line over the last tenth.
//
//     share = (t / warmup)^-0.51, times (steps + 1 - t) / (steps + 1 - b) for t above b = 0.9 steps
// Shen et al., "Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate Scheduler", 2024, section 4, with the exponent found
// there; its factor is chosen such that the curve leaves the peak where the warm-up ends. Like warm-up-stable-decay, the rate before the
// last tenth does not depend on how many steps there will be.
#include <cmath>

#include "train/schedules/schedule.h"

namespace tailor::train::schedules::entries {
extern const Schedule power = {
    .name = "power",
    .doc = "down along the power -0.51 of the steps, and in a line over the last tenth",
    .share = [](std::int64_t step, const Span& span) {
        const std::int64_t begin = std::max(span.warmup, span.steps - span.steps / 10);
        const double curve = std::pow(static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, span.warmup)), -0.51);
        if (step <= begin) return curve;
        return curve * static_cast<double>(span.steps + 1 - std::min(step, span.steps)) / static_cast<double>(span.steps + 1 - begin);
    },
};
}  // namespace tailor::train::schedules::entries
