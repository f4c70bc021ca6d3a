// 2^x for decays: x <= 0, where a result of 0 is as good as 2^-126.
//
// Included inside each instruction-set level's namespace under that level's target, after ops/attention/vectors.h; hence no
// include guard and no includes.

/// 2^(j / 32) for j < 32.
struct Roots {
    alignas(64) float of_two[32] = {};
    constexpr Roots() {
        double power = 1;
        for (float& root : of_two) root = static_cast<float>(power), power *= 1.0218971486541166;
    }
};
inline constexpr Roots roots;

/// 2^x for x <= 0, within 2 units in the last place. At avx512 a table of two registers gives 2^(n / 32) for the nearest n / 32; what is
/// left is below 1/64 in size, so that 1 + r c1 + r^2 c2 suffices (5e-8, c1 = ln 2 (1 + (ln 2 / 64)^2 / 8) against the cubic term).
/// Table, rounding and exponent keep to the units beside those that multiply: 3 multiplications instead of 8.
template <int width = lanes>
[[gnu::always_inline]] inline Vector decay_power(Vector x) {
#if defined(__x86_64__)
    if constexpr (width == 16) {
        const Vector low = broadcast(-125.0f), magic = broadcast(393216.0f);  // 1.5 * 2^18: adding it rounds to a multiple of 1/32
        // Through memory, since this is compiled at every level and Vector is 512 bits wide at one of them only. NaN stays.
        _mm512_storeu_ps(&x, _mm512_maskz_max_ps(0xFFFF, _mm512_loadu_ps(&low), _mm512_loadu_ps(&x)));
        const Vector shifted = x + magic, r = x - (shifted - magic);
        Integers n, power;
        std::memcpy(&n, &shifted, sizeof n);
        const __m512 root = _mm512_maskz_permutex2var_ps(0xFFFF, _mm512_load_ps(roots.of_two), _mm512_loadu_si512(&n), _mm512_load_ps(roots.of_two + 16));
        _mm512_storeu_ps(&power, root);
        power += n << 18 & -(1 << 23);  // the five bits of the table's index stay behind
        Vector scale;
        std::memcpy(&scale, &power, sizeof scale);
        return scale * fused(fused(broadcast(0.240226507f), r, broadcast(0.693157343f)), r, broadcast(1.0f));
    }
#endif
    return power_of_two(x);
}

/// e^x for x <= 0, as accurate as the rounding of x log2(e) allows: a relative error of |x| 6e-8 beside that of decay_power.
[[gnu::always_inline]] inline Vector decay_of(Vector logarithm) { return decay_power(logarithm * 1.44269504088896341f); }
