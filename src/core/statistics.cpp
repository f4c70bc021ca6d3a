// Selection instead of sorting, and draws of blocks; see statistics.h.
#include "core/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace tailor::core {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

static double pairwise_sum(const double* values, std::size_t count) {
    // 256 values are added one by one: there the call would cost more than the rounding gains.
    if (count <= 256) return std::accumulate(values, values + count, 0.0);
    const std::size_t half = count / 2;
    return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
}

double mean(std::span<const double> values) {
    return values.empty() ? nothing : pairwise_sum(values.data(), values.size()) / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
    if (values.size() < 2) return nothing;
    const double center = mean(values);
    // `rest` would be 0 if `center` were exact; subtracting its share undoes the rounding of the mean.
    double squares = 0, rest = 0;
    for (const double v : values) squares += (v - center) * (v - center), rest += v - center;
    const auto count = static_cast<double>(values.size());
    return std::sqrt(std::max(0.0, squares - rest * rest / count) / (count - 1));
}

double standard_error(std::span<const double> values) {
    return standard_deviation(values) / std::sqrt(static_cast<double>(values.size()));
}

/// Where a quantile lies in n sorted values: `weight` of the way from value `index` to the next.
struct Position {
    std::size_t index;
    double weight;
};

static Position position(double fraction, std::size_t count) {
    const double place = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count - 1);
    const auto index = std::min(static_cast<std::size_t>(place), count - 1);
    return {index, place - static_cast<double>(index)};
}

double quantile_in_place(std::span<double> values, double fraction) {
    if (values.empty()) return nothing;
    const auto [index, weight] = position(fraction, values.size());
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(index);
    std::nth_element(values.begin(), middle, values.end());
    if (weight == 0) return *middle;
    // Everything after `middle` is at least as large, so the next in order is the least of those.
    const double next = *std::min_element(middle + 1, values.end());
    return *middle + weight * (next - *middle);
}

double quantile(std::span<const double> values, double fraction) {
    std::vector<double> copy(values.begin(), values.end());
    return quantile_in_place(copy, fraction);
}

double median(std::span<const double> values) { return quantile(values, 0.5); }

double median_absolute_deviation(std::span<const double> values) {
    const double center = median(values);
    std::vector<double> deviations(values.size());
    std::transform(values.begin(), values.end(), deviations.begin(), [center](double v) { return std::fabs(v - center); });
    return quantile_in_place(deviations, 0.5);
}

namespace {

/// Draws block numbers. Not the standard library's distributions: those may differ from one library to the next.
/// The generator is splitmix64 (G. Steele, D. Lea, C. Flood, 2014).
class Draws {
  public:
    Draws(std::span<const double> values, const Bootstrap& bootstrap)
        : state_(bootstrap.seed), values_(values), size_(bootstrap.block_size) {
        if (size_ == 0 || bootstrap.resamples < 2)
            fail(ErrorKind::bug, "a bootstrap needs blocks of at least 1 value and 2 resamples");
        blocks_ = (values.size() + size_ - 1) / size_;
    }

    std::size_t blocks() const { return blocks_; }
    std::size_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        // The high half of a 64 x 64 product is a number below `blocks`; its bias is below blocks / 2^64.
        return static_cast<std::size_t>(static_cast<unsigned __int128>(z) * blocks_ >> 64);
    }
    std::span<const double> block(std::size_t index) const {
        return values_.subspan(index * size_, std::min(size_, values_.size() - index * size_));
    }

  private:
    std::uint64_t state_;
    std::span<const double> values_;
    std::size_t size_, blocks_;
};

}  // namespace

double bootstrap_standard_error(std::span<const double> values, const Statistic& statistic, const Bootstrap& bootstrap) {
    Draws draws(values, bootstrap);
    if (draws.blocks() < 2) return nothing;
    std::vector<double> drawn, results;
    drawn.reserve(draws.blocks() * bootstrap.block_size);
    for (int r = 0; r < bootstrap.resamples; ++r) {
        drawn.clear();
        for (std::size_t b = 0; b < draws.blocks(); ++b) {
            const auto block = draws.block(draws.next());
            drawn.insert(drawn.end(), block.begin(), block.end());
        }
        results.push_back(statistic(drawn));
    }
    return standard_deviation(results);
}

double bootstrap_mean_error(std::span<const double> values, const Bootstrap& bootstrap) {
    Draws draws(values, bootstrap);
    if (draws.blocks() < 2) return nothing;
    std::vector<double> sums, results;
    for (std::size_t b = 0; b < draws.blocks(); ++b) sums.push_back(pairwise_sum(draws.block(b).data(), draws.block(b).size()));
    for (int r = 0; r < bootstrap.resamples; ++r) {
        double sum = 0;
        std::size_t count = 0;
        for (std::size_t b = 0; b < draws.blocks(); ++b) {
            const std::size_t drawn = draws.next();
            sum += sums[drawn], count += draws.block(drawn).size();
        }
        results.push_back(sum / static_cast<double>(count));
    }
    return standard_deviation(results);
}

std::vector<double> bootstrap_quantile_errors(std::span<const double> values, std::span<const double> fractions,
                                              const Bootstrap& bootstrap) {
    Draws draws(values, bootstrap);
    std::vector<double> errors(fractions.size(), nothing);
    if (draws.blocks() < 2) return errors;
    if (values.size() >= UINT32_MAX) fail(ErrorKind::bug, "a bootstrap of quantiles takes fewer than 2^32 values");

    std::vector<std::uint32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
    std::vector<std::uint32_t> block_of(values.size());
    for (std::size_t i = 0; i < order.size(); ++i) block_of[i] = static_cast<std::uint32_t>(order[i] / bootstrap.block_size);

    // Ranks that a draw must find, in ascending order of the fractions so that one walk meets them all.
    std::vector<std::size_t> ascending(fractions.size());
    std::iota(ascending.begin(), ascending.end(), 0u);
    std::sort(ascending.begin(), ascending.end(), [&](std::size_t a, std::size_t b) { return fractions[a] < fractions[b]; });

    std::vector<std::vector<double>> results(fractions.size());
    std::vector<std::uint32_t> times_drawn(draws.blocks());
    for (int r = 0; r < bootstrap.resamples; ++r) {
        std::fill(times_drawn.begin(), times_drawn.end(), 0u);
        std::size_t count = 0;
        for (std::size_t b = 0; b < draws.blocks(); ++b) {
            const std::size_t drawn = draws.next();
            ++times_drawn[drawn], count += draws.block(drawn).size();
        }
        std::size_t i = 0, passed = 0;  // `passed` drawn values come from sorted values before i
        const auto advance = [&](std::size_t rank) {
            while (passed + times_drawn[block_of[i]] <= rank) passed += times_drawn[block_of[i++]];
            return values[order[i]];
        };
        for (const std::size_t f : ascending) {
            const auto [index, weight] = position(fractions[f], count);
            const double low = advance(index);
            const std::size_t i_low = i, passed_low = passed;
            const double high = weight > 0 ? advance(index + 1) : low;
            i = i_low, passed = passed_low;  // the next fraction may need the lower value again
            results[f].push_back(low + weight * (high - low));
        }
    }
    for (std::size_t f = 0; f < fractions.size(); ++f) errors[f] = standard_deviation(results[f]);
    return errors;
}

}  // namespace tailor::core
