// Location, spread and uncertainty of measured values.
//
// Times are summarised by medians, since a busy neighbour only ever makes them longer. Quality (the loss per token) is
// summarised by means and quantiles with a standard error; neighbouring tokens of a text are not independent, so that
// error comes from the block bootstrap (H. R. Kuensch, 1989): whole windows are drawn with replacement, the statistic is
// computed on what was drawn, and the standard deviation over the draws is the standard error.
//
// Nothing here accepts NaN among the values. No values at all give NaN.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace tailor::core {

/// Sum over count; partial sums are added pairwise, so a million values lose no digits that matter.
double mean(std::span<const double> values);
/// Square root of the squared deviations' sum over (n - 1); NaN for fewer than two values.
double standard_deviation(std::span<const double> values);
/// standard_deviation / sqrt(n): the error of the mean of independent values.
double standard_error(std::span<const double> values);

/// The value at position fraction * (n - 1) of the sorted values, linear between neighbours: quantile(v, 0) is the least,
/// quantile(v, 1) the largest. `fraction` outside 0 to 1 is clamped. Copies the values once.
double quantile(std::span<const double> values, double fraction);
/// As `quantile`, but permutes the caller's values instead of copying them.
double quantile_in_place(std::span<double> values, double fraction);
/// quantile at 1/2.
double median(std::span<const double> values);
/// Median of |value - median|; 1.4826 times it estimates the standard deviation of normal values.
double median_absolute_deviation(std::span<const double> values);

/// What a bootstrap repeats: a statistic of the drawn values, which it may permute.
using Statistic = std::function<double(std::span<double>)>;

struct Bootstrap {
    /// Values come in consecutive blocks of this many (one window of tokens); the last may be shorter. At least 1.
    std::size_t block_size = 1;
    /// 200 draws know a standard error to 5 % (1 / sqrt(2 * 200)).
    int resamples = 200;
    std::uint64_t seed = 1;
};

/// Standard error of any statistic; same values, same bits. NaN for fewer than two blocks.
double bootstrap_standard_error(std::span<const double> values, const Statistic& statistic, const Bootstrap& bootstrap);
/// Standard error of the mean, from sums per block: no values are copied.
double bootstrap_mean_error(std::span<const double> values, const Bootstrap& bootstrap);
/// Standard error of each quantile, all from the same draws and one sort: a draw is a count for each block, and a walk
/// through the sorted values that adds up counts passes every quantile. A million values take 0.2 s (the general way: 2 s).
std::vector<double> bootstrap_quantile_errors(std::span<const double> values, std::span<const double> fractions,
                                              const Bootstrap& bootstrap);

}  // namespace tailor::core
