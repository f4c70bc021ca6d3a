// The discrete Fourier transform of 1,024 complex vectors, and products of the transforms of two real signals at once.
//
// Every lane is a column of its own, so that no lane ever moves. Radix 4, decimated in frequency on the way there: four sub-transforms
// of a quarter each after one pass, recursively, so that from 256 points on the work stays in the first-level cache. Sub-results are
// stored in the order 0, 2, 1, 3, which leaves the transform in bit-reversed order; the way back, decimated in time, takes them as they
// are, so nothing is ever put in order. Two real signals a and b travel as a + i b: with Z(k) their transform and Z*(-k) its conjugate at
// the opposite frequency, the transforms are (Z + Z*) / 2 and (Z - Z*) / 2i. In bit-reversed order the opposite of index j has
// all bits below j's highest one flipped. Cooley and Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series", 1965.
//
// Included inside each instruction-set level's namespace under that level's target; hence no include guard and no includes.

constexpr std::int64_t points = 1024;

// Floats of one point: the real parts of all lanes, then the imaginary ones, so that a point of two real signals is a piece of their row. As
// two arrays a power of two apart, both would fight for the same few lines of the first-level cache.
constexpr std::int64_t point = 2 * lanes;

struct Signal {
    alignas(64) float values[points * point];
};

/// w = exp(-2 pi i / 1024) to the powers 0, 1, ...
struct Turns {
    float cosine[points], sine[points];
    constexpr Turns() {
        double c = 1, s = 0;
        // cos and sin of 2 pi / 1024; a thousand products in double keep 13 digits.
        constexpr double step_c = 0.99998117528260110909, step_s = 0.0061358846491544753597;
        for (std::int64_t i = 0; i < points; ++i) {
            cosine[i] = static_cast<float>(c), sine[i] = static_cast<float>(-s);
            const double next = c * step_c - s * step_s;
            s = c * step_s + s * step_c, c = next;
        }
    }
};
inline constexpr Turns turns;

struct Complex {
    Vector real, imaginary;
};
[[gnu::always_inline]] inline Complex operator+(Complex a, Complex b) { return {a.real + b.real, a.imaginary + b.imaginary}; }
[[gnu::always_inline]] inline Complex operator-(Complex a, Complex b) { return {a.real - b.real, a.imaginary - b.imaginary}; }
[[gnu::always_inline]] inline Complex operator*(Complex a, Complex b) {
    return {fused(a.real, b.real, -(a.imaginary * b.imaginary)), fused(a.real, b.imaginary, a.imaginary * b.real)};
}
/// i times a.
[[gnu::always_inline]] inline Complex turned(Complex a) { return {-a.imaginary, a.real}; }
[[gnu::always_inline]] inline Complex conjugate(Complex a) { return {a.real, -a.imaginary}; }
[[gnu::always_inline]] inline Complex turn(std::int64_t i) { return {broadcast(turns.cosine[i]), broadcast(turns.sine[i])}; }
[[gnu::always_inline]] inline Complex get(const float* values, std::int64_t i) { return {load(values + i * point), load(values + i * point + lanes)}; }
[[gnu::always_inline]] inline void put(float* values, std::int64_t i, Complex z) { store(values + i * point, z.real), store(values + i * point + lanes, z.imaginary); }

/// Four points, whose turns are all 1.
[[gnu::always_inline]] inline void transform_four(float* values) {
    const Complex a = get(values, 0), b = get(values, 1), c = get(values, 2), d = get(values, 3);
    const Complex ac = a + c, bd = b + d, difference = a - c, side = turned(b - d);
    put(values, 0, ac + bd), put(values, 1, ac - bd), put(values, 2, difference - side), put(values, 3, difference + side);
}
[[gnu::always_inline]] inline void transform_four_back(float* values) {
    const Complex z0 = get(values, 0), z2 = get(values, 1), z1 = get(values, 2), z3 = get(values, 3);
    const Complex even = z0 + z2, odd = z1 + z3, difference = z0 - z2, side = turned(z1 - z3);
    put(values, 0, even + odd), put(values, 1, difference + side), put(values, 2, even - odd), put(values, 3, difference - side);
}

/// Transforms `count` points, a power of 4, in place, into bit-reversed order.
static void transform(float* values, std::int64_t count) noexcept {
    const std::int64_t quarter = count / 4, stride = points / count;
    if (quarter == 1) return transform_four(values);
    for (std::int64_t i = 0; i < quarter; ++i) {
        const Complex a = get(values, i), b = get(values, i + quarter), c = get(values, i + 2 * quarter), d = get(values, i + 3 * quarter);
        const Complex ac = a + c, bd = b + d, difference = a - c, side = turned(b - d);
        put(values, i, ac + bd);
        put(values, i + quarter, (ac - bd) * turn(2 * i * stride));
        put(values, i + 2 * quarter, (difference - side) * turn(i * stride));
        put(values, i + 3 * quarter, (difference + side) * turn(3 * i * stride));
    }
    for (std::int64_t q = 0; q < 4; ++q) transform(values + q * quarter * point, quarter);
}

/// The way back, from bit-reversed order, times `count`.
static void transform_back(float* values, std::int64_t count) noexcept {
    const std::int64_t quarter = count / 4, stride = points / count;
    if (quarter == 1) return transform_four_back(values);
    for (std::int64_t q = 0; q < 4; ++q) transform_back(values + q * quarter * point, quarter);
    for (std::int64_t i = 0; i < quarter; ++i) {
        const Complex z0 = get(values, i), z2 = get(values, i + quarter) * conjugate(turn(2 * i * stride));
        const Complex z1 = get(values, i + 2 * quarter) * conjugate(turn(i * stride)), z3 = get(values, i + 3 * quarter) * conjugate(turn(3 * i * stride));
        const Complex even = z0 + z2, odd = z1 + z3, difference = z0 - z2, side = turned(z1 - z3);
        put(values, i, even + odd);
        put(values, i + quarter, difference + side);
        put(values, i + 2 * quarter, even - odd);
        put(values, i + 3 * quarter, difference - side);
    }
}

/// sums += four times the transform of (a's convolution with c) + i (b's with d), for x the transform of a + i b and h that of c + i d.
/// Calls each(i) for i from 0 to points / 2 on the way.
template <class Each>
static void add_products(const Signal& x, const Signal& h, Signal& sums, const Each& each) noexcept {
    for (std::int64_t j = 0, below = 0, pair = 0; j < points; ++j) {
        if ((j & (j - 1)) == 0) below = j > 0 ? j - 1 : 0;
        const std::int64_t opposite = j ^ below;
        if (opposite < j) continue;
        each(pair++);
        const Complex x_here = get(x.values, j), x_there = conjugate(get(x.values, opposite));
        const Complex h_here = get(h.values, j), h_there = conjugate(get(h.values, opposite));
        const Complex first = (x_here + x_there) * (h_here + h_there), second = turned((x_here - x_there) * (h_here - h_there));
        put(sums.values, j, get(sums.values, j) + (first - second));
        if (opposite == j) continue;
        const Complex there = get(sums.values, opposite);
        put(sums.values, opposite, there + (conjugate(first) + conjugate(second)));
    }
}
