// The machine as commands use it: limits measured now, with the peaks that were ever seen here, and the kernels that were fastest.
#pragma once
#include "graph/plan.h"
#include "measure/machine.h"
#include "measure/store.h"

namespace tailor::cli {

/// `now` with every multiply-add peak raised to the best in the store for this processor, level and number of threads,
/// and the store raised to `now`. A peak is what no kernel exceeds, so a busy moment must not lower it; bandwidth is what
/// one can count on, and stays as measured now.
measure::MachineLimits with_best_peaks(const measure::MachineLimits& now, measure::Store& store);

/// A choice of kernels by what `tailor measure model` found on this machine; empty if it never ran.
graph::Preference measured_preference();

}  // namespace tailor::cli
