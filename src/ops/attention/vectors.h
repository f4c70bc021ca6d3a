// Vector primitives of attention beyond cpu/simd.h: 2^x, tanh, transposes.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA`; hence no include guard and no includes.

/// 2^x for x <= 0, within 2 units in the last place; about 2^-125 below -125; NaN for NaN. 2^0 is exactly 1.
/// x = n + r with |r| <= 1/2. 2^r by 1 + r q(r), q of degree 4 fitted for the least largest relative error (9e-8); n is
/// added to the exponent bits.
[[gnu::always_inline]] inline Vector power_of_two(Vector x) {
    const Vector low = broadcast(-125.0f), magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    x = low > x ? low : x;
    const Vector shifted = x + magic, r = x - (shifted - magic);
    Vector p = broadcast(1.326472613e-03f);
    p = fused(p, r, broadcast(9.671512715e-03f));
    p = fused(p, r, broadcast(5.550733747e-02f));
    p = fused(p, r, broadcast(2.402224208e-01f));
    p = fused(p, r, broadcast(6.931469776e-01f));
    p = fused(p, r, broadcast(1.0f));
    Integers bits, n;
    std::memcpy(&bits, &p, sizeof bits);
    std::memcpy(&n, &shifted, sizeof n);
    bits += n << 23;  // the low nine bits of 1.5 * 2^23 are zero
    std::memcpy(&p, &bits, sizeof p);
    return p;
}

/// tanh(x), within 3e-7: (1 - e) / (1 + e) with e = exp(-2 |x|), and the sign of x.
[[gnu::always_inline]] inline Vector hyperbolic_tangent(Vector x) {
    const Vector magnitude = maximum(x, -x), e = power_of_two(magnitude * -2.885390082f), y = (1.0f - e) / (1.0f + e);
    return x < Vector{} ? -y : y;
}

[[gnu::always_inline]] inline Integers load_integers(const void* p) {
    Integers v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
[[gnu::always_inline]] inline Integers broadcast_integer(std::int32_t x) { return x - Integers{}; }

/// Stores integers within 16 bits as such. A template, so that only the instructions of this level are compiled; GCC 12 takes
/// the lanes of a plain conversion out one by one.
template <int width = lanes>
[[gnu::always_inline]] inline void store_words(std::int16_t* p, Integers v) {
#if defined(__x86_64__)
    if constexpr (width == 16) _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_loadu_si512(&v)));
    else if constexpr (width == 8) {
        const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&v));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
    } else {
        const __m128i words = _mm_packs_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&v)), _mm_setzero_si128());
        _mm_storel_epi64(reinterpret_cast<__m128i*>(p), words);
    }
#else
    for (int i = 0; i < width; ++i) p[i] = static_cast<std::int16_t>(v[i]);
#endif
}

/// Lane l of the result is lane l of `a` where bit `Step` of l is clear, else lane l - Step of `b`; with `High`, lane
/// l + Step of `a` where it is clear, else lane l of `b`. One stage of a transpose.
template <int Step, bool High, int... L>
[[gnu::always_inline]] inline Vector exchange(Vector a, Vector b, std::integer_sequence<int, L...>) {
    return __builtin_shufflevector(a, b, (L & Step ? lanes + L - (High ? 0 : Step) : L + (High ? Step : 0))...);
}
template <int Step>
[[gnu::always_inline]] inline void transpose_stage(Vector (&v)[lanes]) {
    constexpr auto each = std::make_integer_sequence<int, lanes>{};
    for (int i = 0; i < lanes; ++i)
        if (!(i & Step)) {
            const Vector low = exchange<Step, false>(v[i], v[i + Step], each), high = exchange<Step, true>(v[i], v[i + Step], each);
            v[i] = low, v[i + Step] = high;
        }
}
/// Transposes a square of lanes x lanes 32-bit numbers of any kind.
[[gnu::always_inline]] inline void transpose(Vector (&v)[lanes]) {
    transpose_stage<1>(v);
    transpose_stage<2>(v);
    if constexpr (lanes >= 8) transpose_stage<lanes >= 8 ? 4 : 1>(v);
    if constexpr (lanes >= 16) transpose_stage<lanes >= 16 ? 8 : 1>(v);
}
/// to[c * to_stride + r] = from[r * from_stride + c] for r < rows and c < columns, where rows and columns are rounded up
/// to whole squares in both places. Strides count 32-bit numbers.
inline void transpose_into(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride, std::int64_t rows, std::int64_t columns) noexcept {
    for (std::int64_t r = 0; r < rows; r += lanes)
        for (std::int64_t c = 0; c < columns; c += lanes) {
            Vector square[lanes];
            for (int i = 0; i < lanes; ++i) square[i] = load(from + (r + i) * from_stride + c);
            transpose(square);
            for (int i = 0; i < lanes; ++i) store(to + (c + i) * to_stride + r, square[i]);
        }
}
template <int Distance, int... L>
[[gnu::always_inline]] inline Vector swap_lanes(Vector v, std::integer_sequence<int, L...>) {
    return __builtin_shufflevector(v, v, (L ^ Distance)...);
}
/// The largest lane in every lane.
[[gnu::always_inline]] inline Vector spread_largest(Vector v) {
    constexpr auto each = std::make_integer_sequence<int, lanes>{};
    if constexpr (lanes >= 16) v = maximum(v, swap_lanes<lanes / 2>(v, each));
    if constexpr (lanes >= 8) v = maximum(v, swap_lanes<4>(v, each));
    v = maximum(v, swap_lanes<2>(v, each));
    return maximum(v, swap_lanes<1>(v, each));
}
