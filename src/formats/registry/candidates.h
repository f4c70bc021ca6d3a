// Sixteen candidates at a time: what scale_search.cpp and super_block_search.cpp share, compiled once per instruction-set
// level. Included inside each level's namespace under that level's target, after every other header, hence no include guard
// and no includes.
//
// `Lanes` is sixteen floats at every level: one register at avx512, two at avx2, four at base. No operation mixes lanes
// except `total`, whose order is fixed, so results have the same bits everywhere.

typedef float Lanes __attribute__((vector_size(64)));
typedef std::int32_t Flags __attribute__((vector_size(64)));

[[gnu::always_inline]] inline Lanes splat(float x) { return x - Lanes{}; }
[[gnu::always_inline]] inline Lanes load_lanes(const float* p) {
    Lanes v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
/// 0, 1, ..., 15
[[gnu::always_inline]] inline Lanes ramp() { return Lanes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
[[gnu::always_inline]] inline Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }
[[gnu::always_inline]] inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }
/// a / b, and 0 where b is not positive in magnitude enough to divide by.
[[gnu::always_inline]] inline Lanes safe_divide(Lanes a, Lanes b) {
    const Lanes magnitude = larger(b, -b);
    const Flags fine = magnitude > splat(1e-30f);
    return fine ? a / (fine ? b : splat(1.0f)) : Lanes{};
}
[[gnu::always_inline]] inline float total(Lanes v) {
    float x[16];
    std::memcpy(x, &v, sizeof x);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] += x[i + width];
    return x[0];
}
/// The lane with the smallest value, to 20 bits of precision; the first of equals. Negative values count as zero. Floats that
/// are not negative are ordered as their bits are, so the lane's number can ride in the lowest four and one minimum finds both.
[[gnu::always_inline]] inline int smallest_lane(Lanes v) {
    v = larger(v, Lanes{});
    Flags bits;
    std::memcpy(&bits, &v, sizeof bits);
    bits = (bits & ~15) | Flags{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const auto low8 = __builtin_shufflevector(bits, bits, 0, 1, 2, 3, 4, 5, 6, 7),
               high8 = __builtin_shufflevector(bits, bits, 8, 9, 10, 11, 12, 13, 14, 15);
    const auto of8 = low8 < high8 ? low8 : high8;
    const auto low4 = __builtin_shufflevector(of8, of8, 0, 1, 2, 3), high4 = __builtin_shufflevector(of8, of8, 4, 5, 6, 7);
    const auto of4 = low4 < high4 ? low4 : high4;
    const int a = of4[0] < of4[1] ? of4[0] : of4[1], b = of4[2] < of4[3] ? of4[2] : of4[3];
    return (a < b ? a : b) & 15;
}

/// Rounds to the nearest integer, ties to even, for |y| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
[[gnu::always_inline]] inline Lanes nearest(Lanes y) {
    const Lanes magic = splat(12582912.0f);
    return (y + magic) - magic;
}

/// The integers low..high.
struct Integers {
    float low, high;
    explicit Integers(const Grid& grid) : low(static_cast<float>(grid.low)), high(static_cast<float>(grid.high)) {}
    [[gnu::always_inline]] Lanes round(Lanes y) const { return nearest(smaller(larger(y, splat(low)), splat(high))); }
    std::int8_t code(float y) const {
        const float clamped = y < low ? low : y > high ? high : y;
        return static_cast<std::int8_t>((clamped + 12582912.0f) - 12582912.0f);
    }
    std::int8_t zero_code() const { return 0; }
};

/// Sixteen ascending numbers. A value takes the last one whose threshold, half-way to its predecessor, lies below it: a chain
/// of compares and selects, or at avx512 a search in four steps of permutes (15 instead of 30 operations).
struct Codebook {
    alignas(64) float number[16];
    alignas(64) float threshold[16];
    explicit Codebook(const Grid& grid) {
        for (int k = 0; k < 16; ++k) number[k] = static_cast<float>(grid.codebook[k]);
        for (int k = 0; k < 15; ++k) threshold[k] = 0.5f * (number[k] + number[k + 1]);
        threshold[15] = 1e30f;
    }
    template <int width = cpu::TAILOR_ISA::lanes>
    [[gnu::always_inline]] Lanes round(Lanes y) const {
#if defined(__x86_64__)
        if constexpr (width == 16) {
            // The forms without a mask read an undefined register in GCC 12, which then warns.
            constexpr __mmask16 all = 0xFFFF;
            const __m512 t = load_lanes(threshold);
            __m512i index = _mm512_maskz_set1_epi32(_mm512_cmp_ps_mask(y, _mm512_set1_ps(threshold[7]), _CMP_GT_OQ), 8);
            for (int half = 4; half > 0; half /= 2) {
                const __m512 middle = _mm512_maskz_permutexvar_ps(all, _mm512_add_epi32(index, _mm512_set1_epi32(half - 1)), t);
                index = _mm512_mask_add_epi32(index, _mm512_cmp_ps_mask(y, middle, _CMP_GT_OQ), index, _mm512_set1_epi32(half));
            }
            return _mm512_maskz_permutexvar_ps(all, index, load_lanes(number));
        }
#endif
        Lanes result = splat(number[0]);
        for (int k = 0; k < 15; ++k) result = y > splat(threshold[k]) ? splat(number[k + 1]) : result;
        return result;
    }
    std::int8_t code(float y) const {
        int index = 0;
        for (int k = 0; k < 15; ++k) index += y > threshold[k];
        return static_cast<std::int8_t>(index);
    }
    /// Of the first entry that is not negative, so that scale 0 decodes to +0.
    std::int8_t zero_code() const {
        int index = 0;
        while (index < 15 && number[index] < 0) ++index;
        return static_cast<std::int8_t>(index);
    }
};

/// The values of a block divided by 2^exponent so that the largest magnitude is in [1, 2) (below 4 for the largest
/// floats), and their weights.
struct Sample {
    alignas(64) float x[256];
    alignas(64) float w[256];
    float up, down;  ///< 2^exponent and 2^-exponent
    int exponent;
};

/// False if every value is zero, or so small (below 2^-120) that no format here could tell.
[[gnu::always_inline]] inline bool prepare(Sample& sample, const float* values, const float* importance, int count) {
    float largest = 0, heaviest = 0;
    for (int i = 0; i < count; ++i) {
        const float magnitude = values[i] < 0 ? -values[i] : values[i];
        largest = magnitude > largest ? magnitude : largest;
    }
    if (!(largest > 0x1p-120f)) return false;
    if (importance)
        for (int i = 0; i < count; ++i) heaviest = importance[i] > heaviest ? importance[i] : heaviest;
    const int exponent = static_cast<int>(std::bit_cast<std::uint32_t>(largest) >> 23) - 127;
    sample.exponent = exponent < 126 ? exponent : 126;  // 2^-127 would be subnormal
    sample.up = std::bit_cast<float>(static_cast<std::uint32_t>(sample.exponent + 127) << 23);
    sample.down = std::bit_cast<float>(static_cast<std::uint32_t>(127 - sample.exponent) << 23);
    const bool weighted = heaviest > 1e-35f && heaviest < 1e35f;
    const float unit = weighted ? 1.0f / heaviest : 0.0f;
    for (int i = 0; i < count; ++i) {
        const float weight = weighted ? importance[i] * unit : 1.0f;
        sample.w[i] = weight > 0x1p-20f ? weight : 0x1p-20f;
        sample.x[i] = values[i] * sample.down;
    }
    return true;
}

/// The range of a block's values that weigh at least `share` of the heaviest.
struct Range {
    float low, high;
    float extreme() const { return -low > high ? low : high; }
    bool operator==(const Range&) const = default;
};

[[gnu::always_inline]] inline Range range_of(const float* x, const float* w, int count, float share) {
    float heaviest = 0;
    for (int i = 0; i < count; ++i) heaviest = w[i] > heaviest ? w[i] : heaviest;
    const float least = share * heaviest;
    Range range{8.0f, -8.0f};
    for (int i = 0; i < count; ++i) {
        range.low = w[i] >= least && x[i] < range.low ? x[i] : range.low;
        range.high = w[i] >= least && x[i] > range.high ? x[i] : range.high;
    }
    return range;
}

/// Where importance differs, two ranges are tried: that of all values and that of those with at least this share of the
/// largest importance, which may clip an unimportant outlier. Of 0.02, 0.1 and 0.3
/// the first is fastest and best for importances that vary widely; for mild ones 0.1 gains 0.2 % at most.
constexpr float important_share = 0.02f;

/// What a pass over the values tells of sixteen scales: the error left and the scale after a least-squares fit to the codes,
/// and the sum of w q^2, how fast the error grows around it.
struct ScaleFit {
    Lanes error, scale, curvature;
};

template <class G>
[[gnu::always_inline]] inline void fit_scales(const G& grid, const float* x, const float* w, int count, Lanes scale,
                                              ScaleFit& fit) {
    const Lanes inverse = safe_divide(splat(1.0f), scale);
    Lanes rr{}, rq{}, qq{};
    for (int i = 0; i < count; ++i) {
        const Lanes value = splat(x[i]), weight = splat(w[i]);
        const Lanes q = grid.round(value * inverse), r = value - scale * q, wq = weight * q;
        rr += weight * r * r;
        rq += wq * r;
        qq += wq * q;
    }
    const Lanes step = safe_divide(rq, qq);
    fit.scale = scale + step;
    fit.error = rr - rq * step;
    fit.curvature = qq;
}

/// Lane by lane the fit with less error.
[[gnu::always_inline]] inline void keep_better(ScaleFit& fit, const ScaleFit& other) {
    const Flags better = other.error < fit.error;
    fit.scale = better ? other.scale : fit.scale;
    fit.curvature = better ? other.curvature : fit.curvature;
    fit.error = better ? other.error : fit.error;
}

/// Tries thirty-two scales that put the extreme value near the low or the high end of the grid, keeps the better of each pair,
/// and alternates `rounds` times. The extreme lands from 8 spacings inside the end to 7 outside. With few steps the best clips
/// it; with many, the best of more different scales is wanted (q8_0: spacing 1.2 gives 2 % less error than 0.4).
template <class G>
[[gnu::always_inline]] inline void search_scales(const G& grid, const Grid& ends, const float* x, const float* w, int count,
                                                 int rounds, ScaleFit& fit) {
    const Range ranges[2] = {range_of(x, w, count, 0.0f), range_of(x, w, count, important_share)};
    const float steps = ends.codebook ? 8.0f : static_cast<float>(ends.high + 1);
    const float spacing = 0.04f * steps < 1.2f ? 0.04f * steps : 1.2f;
    const Lanes position = 1.0f + (ramp() - 8.0f) * (spacing / steps);
    const int starts = ranges[0].extreme() == ranges[1].extreme() ? 2 : 4;
    for (int start = 0; start < starts; ++start) {
        const float end = static_cast<float>(start % 2 ? ends.high : ends.low);
        ScaleFit tried;
        fit_scales(grid, x, w, count, safe_divide(splat(ranges[start / 2].extreme() / end), position), tried);
        if (start == 0)
            fit = tried;
        else
            keep_better(fit, tried);
    }
    for (int round = 0; round < rounds; ++round) fit_scales(grid, x, w, count, Lanes(fit.scale), fit);
}

/// The error alone of sixteen scales and offsets; offsets may be zero.
template <class G>
[[gnu::always_inline]] inline Lanes errors(const G& grid, const float* x, const float* w, int count, Lanes scale, Lanes offset) {
    const Lanes inverse = safe_divide(splat(1.0f), scale);
    Lanes rr{};
    for (int i = 0; i < count; ++i) {
        const Lanes value = splat(x[i]) - offset;
        const Lanes r = value - scale * grid.round(value * inverse);
        rr += splat(w[i]) * r * r;
    }
    return rr;
}

/// The same for lines scale * q + offset. With `only_negative` offsets end at or below zero.
struct LineFit {
    Lanes error, scale, offset, qq, q;  ///< qq and q: sums of w q^2 and w q
};

template <bool only_negative>
[[gnu::always_inline]] inline void fit_lines(const Integers& grid, const float* x, const float* w, int count, float weight_sum,
                                             Lanes scale, Lanes offset, LineFit& fit) {
    const Lanes inverse = safe_divide(splat(1.0f), scale);
    Lanes rr{}, rq{}, rs{}, qq{}, qs{};
    for (int i = 0; i < count; ++i) {
        const Lanes weight = splat(w[i]), value = splat(x[i]) - offset;
        const Lanes q = grid.round(value * inverse), r = value - scale * q, wq = weight * q, wr = weight * r;
        rr += wr * r;
        rq += wq * r;
        rs += wr;
        qq += wq * q;
        qs += wq;
    }
    const Lanes sum = splat(weight_sum), determinant = sum * qq - qs * qs;
    // Codes all alike leave the scale free: keep it and move the offset only.
    const Flags solvable = determinant > splat(1e-6f) * sum * qq;
    Lanes up = solvable ? safe_divide(sum * rq - qs * rs, determinant) : Lanes{};
    Lanes shift = (rs - qs * up) / sum;
    if constexpr (only_negative) {
        const Flags beyond = offset + shift > Lanes{};
        shift = beyond ? -offset : shift;
        up = beyond ? safe_divide(rq - shift * qs, qq) : up;
    }
    fit.scale = scale + up;
    fit.offset = offset + shift;
    fit.error = rr - (up * rq + shift * rs) * 2.0f + up * up * qq + up * shift * qs * 2.0f + shift * shift * sum;
    fit.qq = qq;
    fit.q = qs;
}

[[gnu::always_inline]] inline void keep_better(LineFit& fit, const LineFit& other) {
    const Flags better = other.error < fit.error;
    fit.scale = better ? other.scale : fit.scale;
    fit.offset = better ? other.offset : fit.offset;
    fit.qq = better ? other.qq : fit.qq;
    fit.q = better ? other.q : fit.q;
    fit.error = better ? other.error : fit.error;
}

/// Searches lines through a block: a first set of 4 x 4 starts puts the outermost codes up to 0.9 steps (a step is the distance
/// of codes that span the range) inside the range, a second set 1.2 steps outside to on it, where the codes fall differently.
/// The second set lowers the error of Gaussian rows by 1 % at 4 bits and of q5_1 by 2.5 %; with four codes it gains nothing there
/// and raised the error of Student rows (3 degrees of freedom) by 1 %.
template <bool only_negative>
[[gnu::always_inline]] inline void search_lines(const Integers& grid, const float* x, const float* w, int count, float weight_sum,
                                                LineFit& fit) {
    const Lanes column{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}, row{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    Range ranges[2] = {range_of(x, w, count, 0.0f), range_of(x, w, count, important_share)};
    if constexpr (only_negative)
        for (Range& range : ranges) range = {range.low < 0 ? range.low : 0, range.high > 0 ? range.high : 0};
    const int sets = grid.high > 3 ? 2 : 1, starts = ranges[0] == ranges[1] ? sets : 2 * sets;
    for (int start = 0; start < starts; ++start) {
        const Range& range = ranges[start / sets];
        const bool outside = start % sets == 1;
        const float step = (range.high - range.low) / grid.high, inset = outside ? -1.2f : 0.0f, spacing = outside ? 0.4f : 0.3f;
        Lanes offset = range.low + step * (inset + spacing * column);
        if constexpr (only_negative) offset = smaller(offset, Lanes{});
        const Lanes scale = (range.high - step * (inset + spacing * row) - offset) / grid.high;
        LineFit tried;
        fit_lines<only_negative>(grid, x, w, count, weight_sum, scale, offset, tried);
        if (start == 0)
            fit = tried;
        else
            keep_better(fit, tried);
    }
    for (int round = 0; round < 2; ++round)
        fit_lines<only_negative>(grid, x, w, count, weight_sum, Lanes(fit.scale), Lanes(fit.offset), fit);
}

/// The f16 nearest to a scale found in the sample's units, and back.
[[gnu::always_inline]] inline std::uint16_t store_scale(const Sample& sample, float scale) {
    return f32_to_finite_f16(scale * sample.up);
}
[[gnu::always_inline]] inline float stored_scale(const Sample& sample, std::uint16_t bits) {
    return f16_to_f32(bits) * sample.down;
}
/// `bits` moved by `steps` f16 neighbours, staying finite and on its side of zero.
[[gnu::always_inline]] inline std::uint16_t neighbour(std::uint16_t bits, int steps) {
    const int magnitude = (bits & 0x7FFF) + steps;
    return static_cast<std::uint16_t>((bits & 0x8000) | (magnitude < 0 ? 0 : magnitude > 0x7BFF ? 0x7BFF : magnitude));
}
/// Sixteen f16 neighbours around a scale, in the sample's units: lane 8 is the nearest.
[[gnu::always_inline]] inline Lanes neighbourhood(const Sample& sample, std::uint16_t bits) {
    float x[16];
    for (int k = 0; k < 16; ++k) x[k] = stored_scale(sample, neighbour(bits, k - 8));
    return load_lanes(x);
}

template <class G>
[[gnu::always_inline]] inline void write_codes(const G& grid, const float* x, int count, float scale, float offset,
                                               std::int8_t* codes) {
    if (scale == 0) {
        for (int i = 0; i < count; ++i) codes[i] = grid.zero_code();
        return;
    }
    const float inverse = 1.0f / scale;
    for (int i = 0; i < count; ++i) codes[i] = grid.code((x[i] - offset) * inverse);
}
