// Sums and products of rows of numbers of any length, for kernels whose rows are short and many.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA`; hence no include guard and no includes.

[[gnu::always_inline]] inline float dot(const float* a, const float* b, std::int64_t count) {
    Vector sums[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes)
        for (int u = 0; u < 2; ++u) sums[u] = fused(load(a + i + u * lanes), load(b + i + u * lanes), sums[u]);
    for (; i + lanes <= count; i += lanes) sums[0] = fused(load(a + i), load(b + i), sums[0]);
    float total = sum(sums[0] + sums[1]);
    for (; i < count; ++i) total += a[i] * b[i];
    return total;
}

/// y += x * factor
[[gnu::always_inline]] inline void add_scaled(float* y, const float* x, float factor, std::int64_t count) {
    const Vector factors = broadcast(factor);
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, fused(load(x + i), factors, load(y + i)));
    for (; i < count; ++i) y[i] += x[i] * factor;
}

/// y = x * factor; y may be x.
[[gnu::always_inline]] inline void set_scaled(float* y, const float* x, float factor, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, load(x + i) * factor);
    for (; i < count; ++i) y[i] = x[i] * factor;
}
