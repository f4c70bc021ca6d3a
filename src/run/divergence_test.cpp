// Divergence against its definition in long double, for large and for very small differences.
#include "run/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace tailor::run {
namespace {

double by_definition(const std::vector<float>& p, const std::vector<float>& q) {
    long double p_sum = 0, q_sum = 0, total = 0;
    for (std::size_t i = 0; i < p.size(); ++i) p_sum += std::exp(static_cast<long double>(p[i])), q_sum += std::exp(static_cast<long double>(q[i]));
    for (std::size_t i = 0; i < p.size(); ++i) {
        const long double log_p = p[i] - std::log(p_sum), log_q = q[i] - std::log(q_sum);
        total += std::exp(log_p) * (log_p - log_q);
    }
    return static_cast<double>(total);
}

TEST(Divergence, FollowsTheDefinition) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0, 4);
    for (const std::size_t count : {1u, 5u, 64u, 1000u, 4099u})
        for (const float noise : {1.0f, 0.1f, 1e-3f}) {
            std::vector<float> p(count), q(count);
            for (std::size_t i = 0; i < count; ++i) p[i] = normal(random), q[i] = p[i] + noise * normal(random);
            const double expected = by_definition(p, q);
            for (const cpu::Isa isa : cpu::available_isas())
                EXPECT_NEAR(kl_divergence(p.data(), q.data(), static_cast<std::int64_t>(count), isa), expected, 1e-4 * expected + 1e-9)
                    << count << " values, noise " << noise << " at " << cpu::name(isa);
        }
}

TEST(Divergence, OfADistributionFromItselfIsZero) {
    const std::vector<float> p = {1, 2, 3, -50, 80};
    for (const cpu::Isa isa : cpu::available_isas()) EXPECT_EQ(0, kl_divergence(p.data(), p.data(), 5, isa));
}

TEST(Divergence, DoesNotSeeAConstantAddedToAllLogits) {
    std::vector<float> p(300), q(300);
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<float>(i % 17), q[i] = p[i] + 64;
    for (const cpu::Isa isa : cpu::available_isas()) EXPECT_LT(kl_divergence(p.data(), q.data(), 300, isa), 1e-10);
}

TEST(Divergence, CosineDistanceIsExactForSmallAngles) {
    const float a[] = {3, 0}, along[] = {12, 0}, across[] = {0, 2}, against[] = {-1, 0}, near[] = {1, 1e-4f}, zero[] = {0, 0};
    EXPECT_EQ(0, cosine_distance(a, along, 2));
    EXPECT_DOUBLE_EQ(1, cosine_distance(a, across, 2));
    EXPECT_DOUBLE_EQ(2, cosine_distance(a, against, 2));
    EXPECT_NEAR(0.5e-8, cosine_distance(a, near, 2), 1e-14);
    EXPECT_EQ(1, cosine_distance(a, zero, 2));
    EXPECT_EQ(0, cosine_distance(zero, zero, 2));
}

TEST(Divergence, LargestIndexIsTheFirstOfEquals) {
    const float values[] = {1, 7, 3, 7};
    EXPECT_EQ(1, largest_index(values, 4));
}

}  // namespace
}  // namespace tailor::run
