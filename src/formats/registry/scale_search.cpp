// Blocks with one scale, one scale and one offset, a power of two, or ternary codes; the method is told in scale_search.h.
#include "formats/scale_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#include "formats/half.h"

#define TAILOR_THIS_FILE "formats/registry/scale_search.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::TAILOR_ISA {
namespace {

// Vectors wider than the level's registers are passed only between functions that are inlined: no calling convention is at stake.
#pragma GCC diagnostic ignored "-Wpsabi"
#include "formats/registry/candidates.h"

/// The best f16 scale for the block, in bits: searched freely, then the best of its f16 neighbours. The second alternation
/// lowers the error by up to 0.4 % (q8_0) for 3 ns a value; with a codebook it would by less than 0.02 % for 7 ns.
template <class G>
std::uint16_t best_scale(const G& grid, const Grid& ends, const Sample& sample, int count) {
    ScaleFit fit;
    search_scales(grid, ends, sample.x, sample.w, count, ends.codebook ? 1 : 2, fit);
    const std::uint16_t bits = store_scale(sample, fit.scale[smallest_lane(fit.error)]);
    const Lanes stored = neighbourhood(sample, bits);
    return neighbour(bits, smallest_lane(errors(grid, sample.x, sample.w, count, stored, Lanes{})) - 8);
}

template <class G>
std::uint16_t one_scale(const G& grid, const Grid& ends, const float* values, const float* importance, int count,
                        std::int8_t* codes) {
    Sample sample;
    std::uint16_t bits = 0;
    if (prepare(sample, values, importance, count)) bits = best_scale(grid, ends, sample, count);
    if ((bits & 0x7FFF) == 0) bits = 0;
    write_codes(grid, sample.x, count, bits == 0 ? 0.0f : stored_scale(sample, bits), 0.0f, codes);
    return bits;
}

std::uint16_t scale(const Grid& grid, const float* values, const float* importance, int count, std::int8_t* codes) noexcept {
    if (grid.codebook) return one_scale(Codebook(grid), grid, values, importance, count, codes);
    return one_scale(Integers(grid), grid, values, importance, count, codes);
}

HalfPair affine(int high, const float* values, const float* importance, int count, std::uint8_t* codes) noexcept {
    Sample sample;
    std::memset(codes, 0, static_cast<std::size_t>(count));
    if (!prepare(sample, values, importance, count)) return {0, 0};
    const Integers grid({0, high});
    float weight_sum = 0;
    for (int i = 0; i < count; ++i) weight_sum += sample.w[i];
    LineFit fit;
    search_lines<false>(grid, sample.x, sample.w, count, weight_sum, fit);
    // All sixteen as they would be stored.
    HalfPair stored[16];
    float stored_scales[16], stored_offsets[16];
    for (int k = 0; k < 16; ++k) {
        stored[k] = {store_scale(sample, fit.scale[k]), store_scale(sample, fit.offset[k])};
        stored_scales[k] = stored_scale(sample, stored[k].scale);
        stored_offsets[k] = stored_scale(sample, stored[k].offset);
    }
    const int lane =
        smallest_lane(errors(grid, sample.x, sample.w, count, load_lanes(stored_scales), load_lanes(stored_offsets)));
    write_codes(grid, sample.x, count, stored_scales[lane], stored_offsets[lane], reinterpret_cast<std::int8_t*>(codes));
    return stored[lane];
}

/// Sixteen powers of two downwards from the one that puts the extreme value inside the grid's last step.
int exponent(const Grid& ends, const float* values, const float* importance, std::int8_t* codes) noexcept {
    Sample sample;
    const Codebook grid(ends);
    if (!prepare(sample, values, importance, 32)) {
        std::memset(codes, grid.zero_code(), 32);
        return -128;
    }
    float powers[16];
    const int bits = static_cast<int>(std::bit_width(static_cast<unsigned>(ends.high))), first = 2 - bits;
    for (int k = 0; k < 16; ++k) powers[k] = std::bit_cast<float>(static_cast<std::uint32_t>(first - k + 127) << 23);
    const int lane = smallest_lane(errors(grid, sample.x, sample.w, 32, load_lanes(powers), Lanes{}));
    // The largest grid number times the scale must stay finite.
    const int result = std::clamp(sample.exponent + first - lane, -128, 128 - bits);
    write_codes(grid, sample.x, 32, std::ldexp(1.0f, result - sample.exponent), 0.0f, codes);
    return result;
}

/// Sixteen of the list from the first that clips the extreme value by at most this factor; values between the grid's numbers may
/// be met better so. Where importance differs, sixteen more for the extreme of the important values.
constexpr float most_clipping = 1.5f;

int listed(const Grid& ends, const float* scales, int scale_count, const float* values, const float* importance, int count,
           std::int8_t* codes) noexcept {
    Sample sample;
    const Codebook grid(ends);
    if (!prepare(sample, values, importance, count)) {
        std::memset(codes, grid.zero_code(), static_cast<std::size_t>(count));
        return 0;
    }
    const Range ranges[2] = {range_of(sample.x, sample.w, count, 0.0f), range_of(sample.x, sample.w, count, important_share)};
    int best = 0;
    float best_error = 1e30f;
    for (int r = 0; r < (ranges[0] == ranges[1] ? 1 : 2); ++r) {
        const float least = std::fabs(ranges[r].extreme()) / (static_cast<float>(ends.high) * most_clipping) * sample.up;
        const int first = std::min(static_cast<int>(std::lower_bound(scales, scales + scale_count, least) - scales), scale_count - 16);
        const Lanes error = errors(grid, sample.x, sample.w, count, load_lanes(scales + first) * sample.down, Lanes{});
        const int lane = smallest_lane(error);
        if (error[lane] < best_error) best_error = error[lane], best = first + lane;
    }
    write_codes(grid, sample.x, count, scales[best] * sample.down, 0.0f, codes);
    return best;
}

}  // namespace
}  // namespace tailor::formats::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats {

extern const cpu::PerIsa<SearchScale> search_scale = TAILOR_EACH_ISA(scale);
extern const cpu::PerIsa<SearchAffine> search_affine = TAILOR_EACH_ISA(affine);
extern const cpu::PerIsa<SearchExponent> search_exponent = TAILOR_EACH_ISA(exponent);
extern const cpu::PerIsa<SearchListed> search_listed = TAILOR_EACH_ISA(listed);

std::uint16_t search_magnitude(const float* values, const float* importance, int count) noexcept {
    base::Sample sample;
    if (!base::prepare(sample, values, importance, count)) return 0;
    double weighted = 0, weight = 0;
    for (int i = 0; i < count; ++i) weighted += std::fabs(double{sample.w[i]} * sample.x[i]), weight += sample.w[i];
    return base::store_scale(sample, static_cast<float>(weighted / weight));
}

// With the k largest magnitudes coded as +-1 the best scale is their weighted mean a / b (a = sum w |x|, b = sum w), and it
// lowers the error by a^2 / b. The set is always one of the k largest, so trying every k finds the optimum.
std::uint16_t search_ternary(const float* values, const float* importance, std::int8_t* codes) noexcept {
    base::Sample sample;
    std::memset(codes, 0, 256);
    if (!base::prepare(sample, values, importance, 256)) return 0;
    struct Entry {
        float magnitude, weight;
    } entries[256];
    for (int i = 0; i < 256; ++i) entries[i] = {std::fabs(sample.x[i]), sample.w[i]};
    std::sort(entries, entries + 256, [](const Entry& a, const Entry& b) {
        return a.magnitude != b.magnitude ? a.magnitude > b.magnitude : a.weight > b.weight;
    });
    double a = 0, b = 0, best_gain = 0, best_scale = 0;
    for (const Entry& entry : entries) {
        a += double{entry.weight} * entry.magnitude;
        b += entry.weight;
        if (a * a > best_gain * b) best_gain = a * a / b, best_scale = a / b;
    }
    const std::uint16_t bits = base::store_scale(sample, static_cast<float>(best_scale));
    const float half = 0.5f * base::stored_scale(sample, bits);
    for (int i = 0; i < 256 && bits != 0; ++i) codes[i] = static_cast<std::int8_t>((sample.x[i] > half) - (sample.x[i] < -half));
    return bits;
}

}  // namespace tailor::formats
#endif
