// Vectorized sums over the vocabulary; see divergence.h.
//
// Lanes are summed in f32 within blocks of 1,024 values and the blocks in double: f32 alone would lose digits over a
// vocabulary of 128,000.
#include "run/divergence.h"

#include <algorithm>
#include <cmath>

#include "cpu/simd.h"

#define TAILOR_THIS_FILE "run/divergence.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::run::divergence_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

constexpr std::int64_t block = 1024;

// Sum of e^(x - maximum).
static double sum_exponentials(const float* x, std::int64_t count, float maximum) noexcept {
    double total = 0;
    for (std::int64_t start = 0; start < count; start += block) {
        const std::int64_t end = std::min(count, start + block);
        Vector lanes_total = {};
        std::int64_t i = start;
        for (; i + lanes <= end; i += lanes) lanes_total += exponential(load(x + i) - broadcast(maximum));
        total += sum(lanes_total);
        for (; i < end; ++i) total += std::exp(x[i] - maximum);
    }
    return total;
}

// e^d - 1 - d: by its series where the difference would cancel.
[[gnu::always_inline]] inline Vector excess(Vector d) {
    const Vector series = d * d * (((d * (1.0f / 120) + 1.0f / 24) * d + 1.0f / 6) * d + 0.5f);
    const Vector direct = exponential(d) - 1.0f - d;
    const Vector magnitude = maximum(d, -d);
    return magnitude < broadcast(0.25f) ? series : direct;
}

static double divergence(const float* p, float p_log_sum, const float* q, float shift, std::int64_t count) noexcept {
    double total = 0;
    for (std::int64_t start = 0; start < count; start += block) {
        const std::int64_t end = std::min(count, start + block);
        Vector lanes_total = {};
        std::int64_t i = start;
        for (; i + lanes <= end; i += lanes) {
            const Vector a = load(p + i);
            lanes_total = fused(exponential(a - broadcast(p_log_sum)), excess(load(q + i) - a - broadcast(shift)), lanes_total);
        }
        total += sum(lanes_total);
        for (; i < end; ++i) {
            const double d = static_cast<double>(q[i]) - p[i] - shift;
            total += std::exp(static_cast<double>(p[i]) - p_log_sum) * (std::expm1(d) - d);
        }
    }
    return total;
}

}  // namespace tailor::run::divergence_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::run {
namespace divergence_kernels {
static constexpr cpu::PerIsa<double (*)(const float*, std::int64_t, float) noexcept> sum_exponentials_at = TAILOR_EACH_ISA(sum_exponentials);
static constexpr cpu::PerIsa<double (*)(const float*, float, const float*, float, std::int64_t) noexcept> divergence_at = TAILOR_EACH_ISA(divergence);
}  // namespace divergence_kernels

double cosine_distance(const float* a, const float* b, std::int64_t count) {
    double a_square = 0, b_square = 0, total = 0;
    for (std::int64_t i = 0; i < count; ++i) a_square += static_cast<double>(a[i]) * a[i], b_square += static_cast<double>(b[i]) * b[i];
    if (a_square == 0 || b_square == 0) return a_square == b_square ? 0 : 1;
    const double a_factor = 1 / std::sqrt(a_square), b_factor = 1 / std::sqrt(b_square);
    for (std::int64_t i = 0; i < count; ++i) {
        const double d = a_factor * a[i] - b_factor * b[i];
        total += 0.5 * d * d;
    }
    return total;
}

std::int64_t largest_index(const float* values, std::int64_t count) { return std::max_element(values, values + count) - values; }

double log_sum_exp(const float* logits, std::int64_t count, cpu::Isa isa) {
    const float maximum = *std::max_element(logits, logits + count);
    return maximum + std::log(divergence_kernels::sum_exponentials_at.at(isa)(logits, count, maximum));
}

double kl_divergence(const float* reference, double reference_log_sum, const float* other, double other_log_sum, std::int64_t count, cpu::Isa isa) {
    return divergence_kernels::divergence_at.at(isa)(reference, static_cast<float>(reference_log_sum), other,
                                                     static_cast<float>(other_log_sum - reference_log_sum), count);
}

double kl_divergence(const float* reference, const float* other, std::int64_t count, cpu::Isa isa) {
    return kl_divergence(reference, log_sum_exp(reference, count, isa), other, log_sum_exp(other, count, isa), count, isa);
}

}  // namespace tailor::run
#endif
