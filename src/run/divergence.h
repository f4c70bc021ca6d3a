// How far one distribution over the vocabulary is from another, from logits; and one vector from another.
//
// KL(p || q) = sum p (ln p - ln q). With d = ln q - ln p and sum p (e^d - 1) = 0 it equals sum p (e^d - 1 - d), whose terms
// are all >= 0 and quadratic in d: no cancellation, so divergences far below 1e-8 are still exact to f32 rounding of d.
#pragma once
#include <cstdint>

#include "cpu/isa.h"

namespace tailor::run {

/// ln(sum of e^logits).
double log_sum_exp(const float* logits, std::int64_t count, cpu::Isa isa);

/// KL(softmax(reference) || softmax(other)) in nats; the second form takes log_sum_exp of each.
double kl_divergence(const float* reference, const float* other, std::int64_t count, cpu::Isa isa);
double kl_divergence(const float* reference, double reference_log_sum, const float* other, double other_log_sum, std::int64_t count, cpu::Isa isa);

/// 1 - cosine of the angle between two vectors, as half the squared distance of the two at length 1: exact for vectors that hardly
/// differ. 1 if one of them is zero, 0 if both are.
double cosine_distance(const float* a, const float* b, std::int64_t count);

/// Index of the largest value, the first of equals.
std::int64_t largest_index(const float* values, std::int64_t count);

}  // namespace tailor::run
