// The machine's limits as commands use them: measured now, with the peaks that were ever seen here.
#pragma once
#include "measure/machine.h"
#include "measure/store.h"

namespace tailor::cli {

/// `now` with every multiply-add peak raised to the best in the store for this processor, level and number of threads,
/// and the store raised to `now`. A peak is what no kernel exceeds, so a busy moment must not lower it; bandwidth is what
/// one can count on, and stays as measured now.
measure::MachineLimits with_best_peaks(const measure::MachineLimits& now, measure::Store& store);

}  // namespace tailor::cli
