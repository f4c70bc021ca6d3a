// Cosine: from the peak to a tenth of it along half a cosine.
//
//     share = 0.1 + 0.45 (1 + cos(pi (t - warmup) / (steps - warmup)))
// Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, without restarts.
#include <cmath>

#include "train/schedules/schedule.h"

namespace tailor::train::schedules::entries {
extern const Schedule cosine = {
    .name = "cosine",
    .doc = "half a cosine down to a tenth of the peak",
    .share = [](std::int64_t step, const Span& span) {
        const double done = static_cast<double>(step - span.warmup) / static_cast<double>(std::max<std::int64_t>(1, span.steps - span.warmup));
        return 0.1 + 0.45 * (1 + std::cos(M_PI * std::min(1.0, done)));
    },
};
}  // namespace tailor::train::schedules::entries
