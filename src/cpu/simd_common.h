// The part of the vocabulary that is the same text at every level; included by simd.h inside each level's namespace,
// under that level's target, after Vector, Integers, lanes and fused are known. Hence no include guard and no includes.

[[gnu::always_inline]] inline Vector load(const float* p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
[[gnu::always_inline]] inline void store(float* p, Vector v) { std::memcpy(p, &v, sizeof v); }
[[gnu::always_inline]] inline Vector broadcast(float x) { return x - Vector{}; }
[[gnu::always_inline]] inline Vector maximum(Vector a, Vector b) { return a > b ? a : b; }
[[gnu::always_inline]] inline Vector minimum(Vector a, Vector b) { return a < b ? a : b; }

[[gnu::always_inline]] inline Bytes load_bytes(const void* p) {
    Bytes v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
[[gnu::always_inline]] inline void store_bytes(void* p, Bytes v) { std::memcpy(p, &v, sizeof v); }
/// The four bytes at `p` in every lane.
[[gnu::always_inline]] inline Integers broadcast_word(const void* p) {
    std::int32_t word;
    std::memcpy(&word, p, sizeof word);
    return Integers{} + word;
}
[[gnu::always_inline]] inline Bytes shift_right(Bytes v, int bits) { return (Bytes)((Unsigned)v >> static_cast<unsigned>(bits)); }
[[gnu::always_inline]] inline Bytes shift_left(Bytes v, int bits) { return (Bytes)((Unsigned)v << static_cast<unsigned>(bits)); }
/// Bytes 0 and 2, or 1 and 3, of each lane as two unsigned 16-bit words.
[[gnu::always_inline]] inline Bytes even_bytes(Bytes v) { return (Bytes)((Unsigned)v & 0x00FF00FFu); }
[[gnu::always_inline]] inline Bytes odd_bytes(Bytes v) { return (Bytes)((UnsignedWords)v >> 8); }
[[gnu::always_inline]] inline Vector to_floats(Integers v) { return __builtin_convertvector(v, Vector); }
/// Nearest integers, ties to even, for |x| < 2^22.
[[gnu::always_inline]] inline Integers nearest(Vector x) {
    const Vector magic = broadcast(12582912.0f), shifted = x + magic;  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
    Integers bits, base;
    std::memcpy(&bits, &shifted, sizeof bits);
    std::memcpy(&base, &magic, sizeof base);
    return bits - base;
}
/// Sum of all lanes, folded in halves so that the order is the same for every caller.
[[gnu::always_inline]] inline float sum(Vector v) {
    float x[lanes];
    store(x, v);
    for (int width = lanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] += x[i + width];
    return x[0];
}
[[gnu::always_inline]] inline float largest(Vector v) {
    float x[lanes];
    store(x, v);
    for (int width = lanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
    return x[0];
}

/// e^x, within 2 units in the last place for -87 <= x <= 88; 0 below, clamped above.
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a degree-6 polynomial, 2^n by the exponent bits.
[[gnu::always_inline]] inline Vector exponential(Vector x) {
    const Vector low = broadcast(-87.0f), high = broadcast(88.0f);
    const Vector clamped = minimum(maximum(x, low), high);
    const Vector magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
    const Vector n = fused(clamped, broadcast(1.44269504088896341f), magic) - magic;
    Vector r = fused(n, broadcast(-0.693359375f), clamped);
    r = fused(n, broadcast(2.12194440e-4f), r);
    Vector p = broadcast(1.9875691500e-4f);
    p = fused(p, r, broadcast(1.3981999507e-3f));
    p = fused(p, r, broadcast(8.3334519073e-3f));
    p = fused(p, r, broadcast(4.1665795894e-2f));
    p = fused(p, r, broadcast(1.6666665459e-1f));
    p = fused(p, r, broadcast(5.0000001201e-1f));
    p = fused(p, r * r, r) + 1.0f;
    const Integers exponent = (__builtin_convertvector(n, Integers) + 127) << 23;
    Vector scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    return x < low ? Vector{} : p * scale;
}
