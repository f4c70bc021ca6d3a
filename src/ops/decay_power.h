// 2^x for decays: x <= 0, where a result of 0 is as good as 2^-126.
//
// Included inside each instruction-set level's namespace under that level's target, after ops/attention/vectors.h; hence no
// include guard and no includes.

/// 2^x for x <= 0, within 2 units in the last place. At avx512 rounding and scaling are one instruction each and underflow needs no
/// care: 8 instructions instead of 14.
template <int width = lanes>
[[gnu::always_inline]] inline Vector decay_power(Vector x) {
#if defined(__x86_64__)
    if constexpr (width == 16) {
        // Through memory, since this is compiled at every level and Vector is 512 bits wide at one of them only.
        const __m512 n = _mm512_maskz_roundscale_ps(0xFFFF, _mm512_loadu_ps(&x), 0);
        Vector r;
        _mm512_storeu_ps(&r, n);
        r = x - r;
        // The polynomial of power_of_two.
        Vector p = broadcast(1.326472613e-03f);
        p = fused(p, r, broadcast(9.671512715e-03f));
        p = fused(p, r, broadcast(5.550733747e-02f));
        p = fused(p, r, broadcast(2.402224208e-01f));
        p = fused(p, r, broadcast(6.931469776e-01f));
        p = fused(p, r, broadcast(1.0f));
        _mm512_storeu_ps(&p, _mm512_maskz_scalef_ps(0xFFFF, _mm512_loadu_ps(&p), n));
        return p;
    }
#endif
    return power_of_two(x);
}

/// e^x for x <= 0, as accurate as the rounding of x log2(e) allows: a relative error of |x| 6e-8 beside that of decay_power.
[[gnu::always_inline]] inline Vector decay_of(Vector logarithm) { return decay_power(logarithm * 1.44269504088896341f); }
