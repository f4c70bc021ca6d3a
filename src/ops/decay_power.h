// 2^x for decays and the weights of attention: x <= 0, where a result of 0 is as good as 2^-126.
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

/// 2^x for x <= 0, within 2 units in the last place. At avx512 a table of two registers gives 2^(n / 32) for the next n / 32 below; what
/// is left is less than 1/32, so that 1 + r c1 + r^2 c2 suffices (7e-8, the cubic term spread over c1 and c2). One instruction has what
/// is left, one the whole part of x: 8 instructions, of which 4 multiply, where rounding by hand took 13.
template <int width = lanes>
[[gnu::always_inline]] inline Vector decay_power(Vector x) {
#if defined(__x86_64__)
    if constexpr (width == 16) {
        constexpr int down = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        const Vector magic = broadcast(393216.0f);  // 1.5 * 2^18: adding it rounds to a multiple of 1/32
        // Through memory, since this is compiled at every level and Vector is 512 bits wide at one of them only.
        const __m512 power = _mm512_loadu_ps(&x), shifted = _mm512_add_round_ps(power, _mm512_loadu_ps(&magic), down);
        const __m512 left = _mm512_maskz_reduce_ps(0xFFFF, power, 5 << 4 | down);
        const __m512 root = _mm512_maskz_permutex2var_ps(0xFFFF, _mm512_load_ps(roots.of_two), _mm512_castps_si512(shifted), _mm512_load_ps(roots.of_two + 16));
        Vector r, scale;
        _mm512_storeu_ps(&r, left), _mm512_storeu_ps(&scale, root);
        Vector result = scale * fused(fused(broadcast(0.242653446f), r, broadcast(0.693123711f)), r, broadcast(1.0f));
        _mm512_storeu_ps(&result, _mm512_maskz_scalef_ps(0xFFFF, _mm512_loadu_ps(&result), power));
        return result;
    }
#endif
    return power_of_two(x);
}

/// e^x for x <= 0, as accurate as the rounding of x log2(e) allows: a relative error of |x| 6e-8 beside that of decay_power.
[[gnu::always_inline]] inline Vector decay_of(Vector logarithm) { return decay_power(logarithm * 1.44269504088896341f); }
