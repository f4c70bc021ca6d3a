// Super-blocks of 256 values with two levels of scales; the method is told in scale_search.h.
#include <bit>
#include <cstring>

#include "cpu/simd.h"
#include "formats/half.h"
#include "formats/scale_search.h"

#define TAILOR_THIS_FILE "formats/registry/super_block_search.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::TAILOR_ISA {
namespace {

// Vectors wider than the level's registers are passed only between functions that are inlined: no calling convention is at stake.
#pragma GCC diagnostic ignored "-Wpsabi"
#include "formats/registry/candidates.h"

/// Starts from which d is refined, and alternations of integers and d for each.
constexpr int d_starts = 4, d_rounds = 3;

/// A step that is too small for f16 becomes the least f16 there is: with small integers it may still serve.
std::uint16_t at_least_one(std::uint16_t bits, float step) { return (bits & 0x7FFF) == 0 && step != 0 ? 1 : bits; }

/// The free scales of the sub-blocks and the quadratic model of the error around them, one lane per sub-block.
struct FreeScales {
    float scale[16], curvature[16];
    int count;
};

template <class G>
void free_scales(const G& grid, const Grid& ends, const SubBlocks& layout, const Sample& sample, FreeScales& free) {
    free.count = 256 / layout.size;
    for (int j = 0; j < free.count; ++j) {
        const float *const x = sample.x + j * layout.size, *const w = sample.w + j * layout.size;
        ScaleFit fit;
        search_scales(grid, ends, x, w, layout.size, 1, fit);
        const int lane = smallest_lane(fit.error);
        free.scale[j] = fit.scale[lane];
        free.curvature[j] = fit.curvature[lane];
    }
}

/// Candidates for d: the largest free scale as one of the integers near either end. The best of each sixteen by the model.
void propose_d(const SubBlocks& layout, const FreeScales& free, float* proposals) {
    float largest = 0;
    for (int j = 0; j < free.count; ++j) largest = free.scale[j] * free.scale[j] > largest * largest ? free.scale[j] : largest;
    for (int start = 0; start < d_starts; ++start) {
        const float end = static_cast<float>(start % 2 ? layout.high : layout.low);
        const float spacing = layout.high < 64 ? 0.5f : 1.0f;
        const Lanes inset = (ramp() + 16.0f * static_cast<float>(start / 2)) * spacing;
        const Lanes d = safe_divide(splat(largest), end < 0 ? end + inset : end - inset), inverse = safe_divide(splat(1.0f), d);
        Lanes error{};
        for (int j = 0; j < free.count; ++j) {
            const Lanes integer = smaller(larger(nearest(free.scale[j] * inverse), splat(static_cast<float>(layout.low))),
                                          splat(static_cast<float>(layout.high)));
            const Lanes miss = d * integer - free.scale[j];
            error += free.curvature[j] * miss * miss;
        }
        proposals[start] = d[smallest_lane(error)];
    }
}

/// The best integer scale of each sub-block for this d, each of sixteen tried with the true error: eight around the free scale
/// and eight around its opposite. Returns the whole error.
template <class G>
float choose_integers(const G& grid, const SubBlocks& layout, const Sample& sample, const FreeScales& free, float d,
                      std::int8_t* integers) {
    const Lanes around{-3, -2, -1, 0, 1, 2, 3, 4, -4, -3, -2, -1, 0, 1, 2, 3},
        sign{1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
    const Lanes low = splat(static_cast<float>(layout.low)), high = splat(static_cast<float>(layout.high));
    float error = 0;
    for (int j = 0; j < free.count; ++j) {
        const Lanes centre = nearest(smaller(larger(splat(d == 0 ? 0.0f : free.scale[j] / d), low), high));
        const Lanes tried = smaller(larger(centre * sign + around, low), high);
        const int start = j * layout.size;
        const Lanes missed = errors(grid, sample.x + start, sample.w + start, layout.size, d * tried, Lanes{});
        const int lane = smallest_lane(missed);
        integers[j] = static_cast<std::int8_t>(tried[lane]);
        error += missed[lane];
    }
    return error;
}

/// The least-squares d for codes rounded with d and these integers.
template <class G>
float refit_d(const G& grid, const SubBlocks& layout, const Sample& sample, float d, const std::int8_t* integers) {
    Lanes numerator{}, denominator{};
    for (int i = 0; i < 256; i += 16) {
        const float integer = integers[i / layout.size], scale = d * integer;
        if (scale == 0) continue;
        const Lanes x = load_lanes(sample.x + i), w = load_lanes(sample.w + i);
        const Lanes q = grid.round(x * splat(1.0f / scale)), number = integer * q;
        numerator += w * number * (x - d * number);
        denominator += w * number * number;
    }
    const float curvature = total(denominator);
    return curvature > 1e-30f ? d + total(numerator) / curvature : d;
}

template <class G>
std::uint16_t two_scales(const G& grid, const Grid& ends, const SubBlocks& layout, const float* values, const float* importance,
                         std::int8_t* scales, std::int8_t* codes) {
    Sample sample;
    std::memset(scales, 0, static_cast<std::size_t>(256 / layout.size));
    std::memset(codes, grid.zero_code(), 256);
    if (!prepare(sample, values, importance, 256)) return 0;
    FreeScales free;
    free_scales(grid, ends, layout, sample, free);
    float proposals[d_starts], best_error = 0;
    propose_d(layout, free, proposals);
    std::uint16_t best = 0, bits = 0;
    const int starts = ends.codebook ? 2 : d_starts;  // two more lower the error by 0.03 %, and codebooks are slow to round to
    for (int trial = 0; trial < starts + d_rounds; ++trial) {
        if (trial < starts) {
            bits = at_least_one(store_scale(sample, proposals[trial]), 1.0f);
        } else {
            const std::uint16_t refitted = store_scale(sample, refit_d(grid, layout, sample, stored_scale(sample, best), scales));
            if (refitted == bits || refitted == best || (refitted & 0x7FFF) == 0) break;
            bits = refitted;
        }
        std::int8_t integers[16];
        const float error = choose_integers(grid, layout, sample, free, stored_scale(sample, bits), integers);
        if (best == 0 || error < best_error) {
            best = bits, best_error = error;
            std::memcpy(scales, integers, static_cast<std::size_t>(free.count));
        }
    }
    const float d = stored_scale(sample, best);
    for (int j = 0; j < free.count; ++j)
        write_codes(grid, sample.x + j * layout.size, layout.size, d * static_cast<float>(scales[j]), 0.0f,
                    codes + j * layout.size);
    return best;
}

std::uint16_t super_scale(const Grid& grid, const SubBlocks& layout, const float* values, const float* importance,
                          std::int8_t* scales, std::int8_t* codes) noexcept {
    if (grid.codebook) return two_scales(Codebook(grid), grid, layout, values, importance, scales, codes);
    return two_scales(Integers(grid), grid, layout, values, importance, scales, codes);
}

/// The free lines scale * q - minimum of the sub-blocks and the quadratic model of the error around them.
struct FreeLines {
    float scale[16], minimum[16], qq[16], q[16], weight[16];
    int count;
};

void free_lines(const Integers& grid, const SubBlocks& layout, const Sample& sample, FreeLines& free) {
    free.count = 256 / layout.size;
    for (int j = 0; j < free.count; ++j) {
        const float *const x = sample.x + j * layout.size, *const w = sample.w + j * layout.size;
        float weight = 0;
        for (int i = 0; i < layout.size; ++i) weight += w[i];
        LineFit fit;
        search_lines<true>(grid, x, w, layout.size, weight, fit);
        const int lane = smallest_lane(fit.error);
        free.scale[j] = fit.scale[lane] > 0 ? fit.scale[lane] : 0;
        free.minimum[j] = -fit.offset[lane];
        free.qq[j] = fit.qq[lane];
        free.q[j] = fit.q[lane];
        free.weight[j] = weight;
    }
}

struct Steps {
    float d, dmin;
};

/// For each of sixteen d (lanes) and sixteen dmin the model's error; the best few pairs, one per quarter of the d tried.
void propose_steps(const SubBlocks& layout, const FreeLines& free, Steps* proposals) {
    float largest_scale = 0, largest_minimum = 0;
    for (int j = 0; j < free.count; ++j) {
        largest_scale = free.scale[j] > largest_scale ? free.scale[j] : largest_scale;
        largest_minimum = free.minimum[j] > largest_minimum ? free.minimum[j] : largest_minimum;
    }
    const float top = static_cast<float>(layout.high), spacing = layout.high < 32 ? 0.375f : 1.0f;
    const Lanes d = largest_scale / (top - ramp() * spacing), inverse = safe_divide(splat(1.0f), d);
    Lanes best = splat(1e30f), best_dmin{};
    for (int k = 0; k < 16; ++k) {
        const float dmin = largest_minimum / (top - static_cast<float>(k) * spacing),
                    inverse_dmin = dmin > 0 ? 1.0f / dmin : 0.0f;
        Lanes error{};
        for (int j = 0; j < free.count; ++j) {
            const float lean = free.q[j] / free.weight[j];
            const Lanes miss = d * smaller(nearest(free.scale[j] * inverse), splat(top)) - free.scale[j];
            // A scale too large by `miss` is best met by a minimum larger by the mean code times that.
            const Lanes wanted = larger(free.minimum[j] + lean * miss, Lanes{});
            const Lanes miss_minimum = dmin * smaller(nearest(wanted * inverse_dmin), splat(top)) - wanted;
            error += (free.qq[j] - lean * free.q[j]) * miss * miss + free.weight[j] * miss_minimum * miss_minimum;
        }
        const Flags better = error < best;
        best = better ? error : best;
        best_dmin = better ? splat(dmin) : best_dmin;
    }
    for (int start = 0; start < d_starts; ++start) {
        int lane = 4 * start;
        for (int k = lane + 1; k < 4 * start + 4; ++k) lane = best[k] < best[lane] ? k : lane;
        proposals[start] = {d[lane], best_dmin[lane]};
    }
}

/// The best integer scale and minimum of each sub-block: four scales times four minima around the free line. Returns the error.
float choose_pairs(const Integers& grid, const SubBlocks& layout, const Sample& sample, const FreeLines& free, Steps steps,
                   std::uint8_t* scales, std::uint8_t* minima) {
    const Lanes column{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}, row{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    const Lanes top = splat(static_cast<float>(layout.high));
    const float inverse = steps.d > 0 ? 1.0f / steps.d : 0.0f, inverse_dmin = steps.dmin > 0 ? 1.0f / steps.dmin : 0.0f;
    float error = 0;
    for (int j = 0; j < free.count; ++j) {
        const Lanes first = nearest(smaller(splat(free.scale[j] * inverse), top) - 1.5f);
        const Lanes scale = smaller(larger(first + column, Lanes{}), top);
        const Lanes wanted = free.minimum[j] + free.q[j] / free.weight[j] * (steps.d * scale - free.scale[j]);
        const Lanes minimum = smaller(larger(nearest(smaller(wanted * inverse_dmin, top) - 1.5f) + row, Lanes{}), top);
        const int start = j * layout.size;
        const Lanes missed =
            errors(grid, sample.x + start, sample.w + start, layout.size, steps.d * scale, -(steps.dmin * minimum));
        const int lane = smallest_lane(missed);
        scales[j] = static_cast<std::uint8_t>(scale[lane]);
        minima[j] = static_cast<std::uint8_t>(minimum[lane]);
        error += missed[lane];
    }
    return error;
}

/// The least-squares d and dmin for codes rounded with these steps and integers.
Steps refit_steps(const Integers& grid, const SubBlocks& layout, const Sample& sample, Steps steps, const std::uint8_t* scales,
                  const std::uint8_t* minima) {
    Lanes aa{}, ab{}, bb{}, ar{}, br{};
    for (int i = 0; i < 256; i += 16) {
        const float integer = scales[i / layout.size], minimum = minima[i / layout.size], scale = steps.d * integer,
                    offset = -(steps.dmin * minimum);
        const Lanes x = load_lanes(sample.x + i) - offset, w = load_lanes(sample.w + i);
        const Lanes q = grid.round(x * splat(scale > 0 ? 1.0f / scale : 0.0f)), r = x - scale * q, a = integer * q;
        aa += w * a * a;
        ab += w * a * minimum;
        bb += w * minimum * minimum;
        ar += w * a * r;
        br += w * minimum * r;
    }
    const float saa = total(aa), sab = total(ab), sbb = total(bb), sar = total(ar), sbr = total(br);
    const float determinant = saa * sbb - sab * sab;
    if (determinant > 1e-6f * saa * sbb) {
        steps.d += (sbb * sar - sab * sbr) / determinant;
        steps.dmin += (sab * sar - saa * sbr) / determinant;
    } else if (saa > 1e-30f) {
        steps.d += sar / saa;
    }
    return {steps.d > 0 ? steps.d : 0, steps.dmin > 0 ? steps.dmin : 0};
}

/// Minima reach below zero only, so a super-block whose sub-blocks lie above zero is encoded upside down: d and dmin negated.
bool lies_above_zero(const SubBlocks& layout, const Sample& sample) {
    float above = 0, below = 0;
    for (int j = 0; j < 256 / layout.size; ++j) {
        const Range range = range_of(sample.x + j * layout.size, sample.w + j * layout.size, layout.size, 0.0f);
        above += range.low > 0 ? range.low : 0;
        below += range.high < 0 ? -range.high : 0;
    }
    return above > below;
}

HalfPair super_affine(int high, const SubBlocks& layout, const float* values, const float* importance, std::uint8_t* scales,
                      std::uint8_t* minima, std::uint8_t* codes) noexcept {
    Sample sample;
    const int count = 256 / layout.size;
    std::memset(scales, 0, static_cast<std::size_t>(count));
    std::memset(minima, 0, static_cast<std::size_t>(count));
    std::memset(codes, 0, 256);
    if (!prepare(sample, values, importance, 256)) return {0, 0};
    const bool mirrored = lies_above_zero(layout, sample);
    if (mirrored)
        for (float& x : sample.x) x = -x;
    const Integers grid({0, high});
    FreeLines free;
    free_lines(grid, layout, sample, free);
    Steps proposals[d_starts];
    propose_steps(layout, free, proposals);
    HalfPair best{0, 0};
    float best_error = 1e30f;
    for (int trial = 0; trial < d_starts + d_rounds; ++trial) {
        Steps steps;
        if (trial < d_starts)
            steps = proposals[trial];
        else
            steps = refit_steps(grid, layout, sample, {stored_scale(sample, best.scale), stored_scale(sample, best.offset)},
                                scales, minima);
        const HalfPair bits{at_least_one(store_scale(sample, steps.d), steps.d),
                            at_least_one(store_scale(sample, steps.dmin), steps.dmin)};
        if (trial >= d_starts && bits.scale == best.scale && bits.offset == best.offset) break;
        steps = {stored_scale(sample, bits.scale), stored_scale(sample, bits.offset)};
        std::uint8_t tried_scales[16], tried_minima[16];
        const float error = choose_pairs(grid, layout, sample, free, steps, tried_scales, tried_minima);
        if (error >= best_error && trial >= d_starts) break;
        if (error < best_error) {
            best = bits, best_error = error;
            std::memcpy(scales, tried_scales, static_cast<std::size_t>(count));
            std::memcpy(minima, tried_minima, static_cast<std::size_t>(count));
        }
    }
    const float d = stored_scale(sample, best.scale), dmin = stored_scale(sample, best.offset);
    for (int j = 0; j < count; ++j)
        write_codes(grid, sample.x + j * layout.size, layout.size, d * static_cast<float>(scales[j]),
                    -(dmin * static_cast<float>(minima[j])), reinterpret_cast<std::int8_t*>(codes) + j * layout.size);
    if (mirrored) best.scale ^= 0x8000, best.offset ^= 0x8000;
    return best;
}

}  // namespace
}  // namespace tailor::formats::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats {

extern const cpu::PerIsa<SearchSuperScale> search_super_scale = TAILOR_EACH_ISA(super_scale);
extern const cpu::PerIsa<SearchSuperAffine> search_super_affine = TAILOR_EACH_ISA(super_affine);

}  // namespace tailor::formats
#endif
