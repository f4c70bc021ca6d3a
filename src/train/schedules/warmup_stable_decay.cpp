// Warm-up, stable, decay: the peak until four fifths of all steps, then down to almost nothing along a root.
//
//     share = 1 - sqrt((t - b) / (steps + 1 - b)) for t above b = 0.8 steps
// Hu et al., "MiniCPM", 2024, section 4.2; the root and the fifth from Haegele et al., "Scaling Laws and Compute-Optimal Training Beyond
// Fixed Training Durations", 2024, equation 1. Until the decay begins, the rate does not depend on how many steps there will be: a
// checkpoint from there can be resumed with more --steps.
#include <cmath>

#include "train/schedules/schedule.h"

namespace tailor::train::schedules::entries {
extern const Schedule warmup_stable_decay = {
    .name = "warmup-stable-decay",
    .doc = "the peak, and down along a root over the last fifth",
    .share = [](std::int64_t step, const Span& span) {
        const std::int64_t begin = std::max(span.warmup, span.steps - span.steps / 5);
        if (step <= begin) return 1.0;
        return 1 - std::sqrt(static_cast<double>(std::min(step, span.steps) - begin) / static_cast<double>(span.steps + 1 - begin));
    },
};
}  // namespace tailor::train::schedules::entries
