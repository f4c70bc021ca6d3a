// Worked values, definitions against sorting, and bootstrap errors against theory.
#include "core/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/error.h"

namespace tailor::core {

static std::vector<double> normal_values(std::size_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::vector<double> values(count);
    for (double& v : values) {
        // Sum of 12 uniform numbers: mean 6, variance 1; the same on every standard library.
        double sum = 0;
        for (int i = 0; i < 12; ++i) sum += static_cast<double>(generator()) / 4294967296.0;
        v = sum - 6;
    }
    return values;
}

TEST(Statistics, WorkedValues) {
    const std::vector<double> v = {4, 1, 3, 2};
    EXPECT_DOUBLE_EQ(mean(v), 2.5);
    EXPECT_DOUBLE_EQ(standard_deviation(v), std::sqrt(5.0 / 3));
    EXPECT_DOUBLE_EQ(standard_error(v), std::sqrt(5.0 / 12));
    EXPECT_DOUBLE_EQ(median(v), 2.5);
    EXPECT_DOUBLE_EQ(quantile(v, 0), 1);
    EXPECT_DOUBLE_EQ(quantile(v, 1), 4);
    EXPECT_DOUBLE_EQ(quantile(v, 0.9), 3.7);
    EXPECT_DOUBLE_EQ(quantile(v, 2), 4);
    EXPECT_DOUBLE_EQ(median_absolute_deviation(std::vector<double>{1, 2, 3, 4, 100}), 1);
}

TEST(Statistics, FewValues) {
    const std::vector<double> none, one = {7};
    EXPECT_TRUE(std::isnan(mean(none)) && std::isnan(median(none)) && std::isnan(median_absolute_deviation(none)));
    EXPECT_EQ(median(one), 7);
    EXPECT_EQ(quantile(one, 0.3), 7);
    EXPECT_EQ(median_absolute_deviation(one), 0);
    EXPECT_TRUE(std::isnan(standard_deviation(one)));
    EXPECT_TRUE(std::isnan(bootstrap_mean_error(one, {})));
    EXPECT_TRUE(std::isnan(bootstrap_quantile_errors(one, std::vector<double>{0.5}, {})[0]));
    EXPECT_THROW(bootstrap_mean_error(one, {.block_size = 0}), Error);
}

TEST(Statistics, MeanKeepsDigits) {
    std::vector<double> values(1'000'000, 0.1);
    EXPECT_NEAR(mean(values), 0.1, 1e-15);
    std::fill(values.begin(), values.end(), 1e9 + 0.1);
    EXPECT_NEAR(standard_deviation(values), 0, 1e-6);
}

TEST(Statistics, QuantileIsInterpolatedOrder) {
    for (const std::size_t count : {2u, 5u, 100u, 1001u}) {
        const auto values = normal_values(count, 3);
        auto sorted = values;
        std::sort(sorted.begin(), sorted.end());
        for (int percent = 0; percent <= 100; percent += 3) {
            const double place = percent / 100.0 * static_cast<double>(count - 1);
            const auto below = static_cast<std::size_t>(place);
            const double next = sorted[std::min(below + 1, count - 1)];
            const double between = sorted[below] + (place - static_cast<double>(below)) * (next - sorted[below]);
            EXPECT_NEAR(quantile(values, percent / 100.0), between, 1e-12);
        }
    }
}

TEST(Statistics, BootstrapOfMeanAgreesWithTheory) {
    const auto values = normal_values(10'000, 1);
    EXPECT_NEAR(bootstrap_mean_error(values, {.resamples = 1000}), standard_error(values), 0.1 * standard_error(values));
    const Bootstrap b{.block_size = 64, .resamples = 300, .seed = 9};
    const double general = bootstrap_standard_error(values, [](std::span<double> v) { return mean(v); }, b);
    EXPECT_NEAR(general, bootstrap_mean_error(values, b), 1e-12);
    EXPECT_EQ(general, bootstrap_standard_error(values, [](std::span<double> v) { return mean(v); }, b));
}

TEST(Statistics, BlocksCarryTheDependence) {
    // Each window repeats one value 100 times: the honest error is that of 200 values, not of 20,000.
    const auto windows = normal_values(200, 5);
    std::vector<double> values;
    for (const double w : windows) values.insert(values.end(), 100, w);
    const double honest = standard_error(windows);
    EXPECT_NEAR(bootstrap_mean_error(values, {.block_size = 100, .resamples = 2000}), honest, 0.1 * honest);
    EXPECT_LT(bootstrap_mean_error(values, {.block_size = 1}), 0.2 * honest);
}

TEST(Statistics, BootstrapOfQuantiles) {
    // 1,050 values in blocks of 100: the last block is shorter, and the values hold ties.
    auto values = normal_values(1050, 8);
    for (double& v : values) v = std::round(v * 20) / 20;
    const std::vector<double> fractions = {0.99, 0.0, 0.5, 0.501, 1.0};
    const Bootstrap b{.block_size = 100, .resamples = 50, .seed = 4};
    const auto errors = bootstrap_quantile_errors(values, fractions, b);
    for (std::size_t f = 0; f < fractions.size(); ++f) {
        const auto statistic = [&](std::span<double> v) { return quantile_in_place(v, fractions[f]); };
        EXPECT_NEAR(errors[f], bootstrap_standard_error(values, statistic, b), 1e-12) << fractions[f];
    }
    // Error of the median of n normal values: sqrt(pi / 2 / n).
    const auto many = normal_values(20'000, 2);
    EXPECT_NEAR(bootstrap_quantile_errors(many, std::vector<double>{0.5}, {.resamples = 400})[0], std::sqrt(1.5708 / 20000), 0.0015);
}

}  // namespace tailor::core
