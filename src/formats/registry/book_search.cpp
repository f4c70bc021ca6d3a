// Super-blocks of code-book entries; the method is told in book_search.h.
#include "formats/book_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#include "formats/half.h"
#include "formats/scale_search.h"

#define TAILOR_THIS_FILE "formats/registry/book_search.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::TAILOR_ISA {
namespace {

// Vectors wider than the level's registers are passed only between functions that are inlined: no calling convention is at stake.
#pragma GCC diagnostic ignored "-Wpsabi"
#include "formats/registry/candidates.h"

constexpr int most_groups = 64, most_sub_blocks = 16, most_families = 2;
// iq1 has 2,048 entries, each with a shift of either sign.
constexpr int most_points = 4096;

/// 2 P and Q side by side, so that one addition does for both.
typedef float Point __attribute__((vector_size(8)));

/// Those of every entry for one group; with shifts those of +1, then those of -1.
struct Points {
    alignas(64) Point at[most_points];
};

/// The same for every pattern of half a group. `flip`: by how much 2 P falls with the cheapest flipped sign.
struct Half {
    alignas(64) Point at[256];
    alignas(64) float flip[256];
};

/// Of each group the sixteen points that won at sixteen scales.
struct Winners {
    Point at[16];
    std::int32_t point[16];
};

/// Those of all groups, and the scale that fits each sub-block best.
struct Shortlist {
    Winners winners[most_families][most_groups];
    float free_scale[most_sub_blocks];
};

/// The form's numbers that loops need, and the values with their signs as the search wants them.
struct Search {
    const BookForm& form;
    Sample sample;
    std::uint64_t flips = 0;  ///< bit g: one sign of group g must be flipped
    int groups, groups_per_sub_block, sub_blocks, families, points, points_per_family;

    explicit Search(const BookForm& f)
        : form(f), groups(256 / f.group), groups_per_sub_block(f.sub_block / f.group), sub_blocks(256 / f.sub_block),
          families(f.shift == BookShift::per_sub_block ? 2 : 1), points(f.entries * (f.shift == BookShift::none ? 1 : 2)),
          points_per_family(points / families) {}
    bool flipped(int group) const { return flips >> group & 1; }
};

[[gnu::always_inline]] inline float magnitude(float x) { return x < 0 ? -x : x; }

/// Makes the values magnitudes, notes the signs, and finds the groups of which one sign must be flipped.
void take_signs(Search& search, BookCodes& codes) {
    if (search.form.signs == BookSigns::none) return;
    Sample& sample = search.sample;
    for (int i = 0; i < 256; i += 8) {
        int bits = 0, weakest = 0;
        for (int k = 0; k < 8; ++k) {
            bits |= (sample.x[i + k] < 0) << k;
            sample.x[i + k] = magnitude(sample.x[i + k]);
            if (sample.w[i + k] * sample.x[i + k] < sample.w[i + weakest] * sample.x[i + weakest]) weakest = k;
        }
        codes.signs[i / 8] = static_cast<std::uint8_t>(bits);
        const int group = (i + weakest) / search.form.group;
        if (search.form.signs == BookSigns::even && std::popcount(static_cast<unsigned>(bits)) % 2 != 0) search.flips |= std::uint64_t{1} << group;
    }
}

/// Adds one position after the other to the patterns: level c of the next one stands for c times the patterns so far.
void fill_half(const BookForm& form, const float* x, const float* w, float shift, Half& half) {
    const int level_count = form.group == 8 ? 4 : 8;
    int size = 1;
    half.at[0] = Point{}, half.flip[0] = 1e30f;
    for (int i = 0; i < form.group / 2; ++i, size *= level_count)
        for (int c = level_count - 1; c >= 0; --c) {
            const float level = static_cast<float>(form.levels[c]) + shift;
            const float p2 = 2 * w[i] * x[i] * level, flip = 2 * p2;
            const Point added{p2, w[i] * level * level};
            for (int k = 0; k < size; ++k) {
                half.at[c * size + k] = half.at[k] + added;
                half.flip[c * size + k] = half.flip[k] < flip ? half.flip[k] : flip;
            }
        }
}

void fill_points(const Search& search, int group, Points& points) {
    const BookForm& form = search.form;
    const float *const x = search.sample.x + group * form.group, *const w = search.sample.w + group * form.group;
    const int bits = form.group == 8 ? 8 : 6, mask = (1 << bits) - 1;
    const bool shifted = form.shift != BookShift::none, flipped = search.flipped(group);
    for (int variant = 0; variant < (shifted ? 2 : 1); ++variant) {
        const float shift = !shifted ? 0.0f : variant == 0 ? 1.0f : -1.0f;
        Half low, high;
        fill_half(form, x, w, shift, low);
        fill_half(form, x + form.group / 2, w + form.group / 2, shift, high);
        Point* const at = points.at + variant * form.entries;
        for (int k = 0; k < form.entries; ++k) at[k] = low.at[form.words[k] & mask] + high.at[form.words[k] >> bits];
        if (flipped)
            for (int k = 0; k < form.entries; ++k) at[k] -= Point{std::min(low.flip[form.words[k] & mask], high.flip[form.words[k] >> bits]), 0};
    }
}

/// Lane by lane the point with the least scale * Q - 2 P, and that number.
struct Nearest {
    Lanes value;
    Flags point;
};

[[gnu::always_inline]] inline void keep_nearer(const Point& point, int k, Lanes scale, Nearest& nearest) {
    const Lanes value = scale * point[1] - point[0];
    const Flags better = value < nearest.value;
    nearest.value = better ? value : nearest.value;
    nearest.point = better ? k - Flags{} : nearest.point;
}

/// Two chains of comparisons, since each waits for the one before. `count` is even.
[[gnu::always_inline]] inline Nearest nearest_points(const Points& points, int first, int count, Lanes scale) {
    Nearest even{splat(1e30f), Flags{}}, odd = even;
    for (int k = first; k < first + count; k += 2) {
        keep_nearer(points.at[k], k, scale, even);
        keep_nearer(points.at[k + 1], k + 1, scale, odd);
    }
    const Flags better = odd.value < even.value;
    return {better ? odd.value : even.value, better ? odd.point : even.point};
}

/// Scales around the one at which the sub-block's values and its levels would have the same root mean square.
[[gnu::always_inline]] inline Lanes usual_scales(const Search& search, int sub_block) {
    const float *const x = search.sample.x + sub_block * search.form.sub_block, *const w = search.sample.w + sub_block * search.form.sub_block;
    float energy = 0, weight = 0;
    for (int i = 0; i < search.form.sub_block; ++i) energy += w[i] * x[i] * x[i], weight += w[i];
    const float rms = std::sqrt(energy / weight), first = rms / search.form.most_level;
    // The sixteenth root of the range, by square roots because every library rounds those alike.
    float step = search.form.most_level / search.form.least_level;
    for (int k = 0; k < 4; ++k) step = std::sqrt(step);
    float scales[16], scale = first;
    for (float& s : scales) s = scale, scale *= step;
    return load_lanes(scales);
}

void shortlist(const Search& search, int sub_block, Points& points, Shortlist& list) {
    const Lanes scales = usual_scales(search, sub_block);
    Point sums[most_families][16] = {};
    for (int g = sub_block * search.groups_per_sub_block; g < (sub_block + 1) * search.groups_per_sub_block; ++g) {
        fill_points(search, g, points);
        for (int f = 0; f < search.families; ++f) {
            const Nearest nearest = nearest_points(points, f * search.points_per_family, search.points_per_family, scales);
            Winners& winners = list.winners[f][g];
            for (int k = 0; k < 16; ++k) {
                winners.point[k] = nearest.point[k];
                winners.at[k] = points.at[nearest.point[k]];
                sums[f][k] += winners.at[k];
            }
        }
    }
    float best_gain = 0;
    list.free_scale[sub_block] = 0;
    for (int f = 0; f < search.families; ++f)
        for (const Point& sum : sums[f]) {
            const float scale = sum[0] / (2 * sum[1]), gain = sum[0] * scale;
            if (sum[0] > 0 && gain > best_gain) best_gain = gain, list.free_scale[sub_block] = scale;
        }
}

/// What sixteen values of d give on the shortlist: the error less the energy of the values, and d after least squares.
struct Tried {
    Lanes error, d;
};

/// What one sub-block adds to that with sixteen scales.
struct Part {
    Lanes error, p2, q;
};

/// Lane by lane the part with less error; returns where that was the other one.
[[gnu::always_inline]] inline Flags keep_better(Part& part, const Part& other) {
    const Flags better = other.error < part.error;
    part.error = better ? other.error : part.error;
    part.p2 = better ? other.p2 : part.p2;
    part.q = better ? other.q : part.q;
    return better;
}

[[gnu::always_inline]] inline Part try_scale(const Search& search, const Shortlist& list, int sub_block, Lanes scale) {
    Part best{splat(1e30f), Lanes{}, Lanes{}};
    for (int f = 0; f < search.families; ++f) {
        Part part{};
        for (int g = sub_block * search.groups_per_sub_block; g < (sub_block + 1) * search.groups_per_sub_block; ++g) {
            Part least{splat(1e30f), Lanes{}, Lanes{}};
            for (int k = 0; k < 16; ++k) {
                const Lanes p2 = splat(list.winners[f][g].at[k][0]), q = splat(list.winners[f][g].at[k][1]);
                keep_better(least, {scale * q - p2, p2, q});
            }
            part.error += least.error, part.p2 += least.p2, part.q += least.q;
        }
        part.error *= scale;
        keep_better(best, part);
    }
    return best;
}

/// Per sub-block the three s whose scales lie nearest to the free one.
Tried try_steps(const Search& search, const Shortlist& list, Lanes d) {
    const Lanes inverse = safe_divide(splat(1.0f), d * search.form.unit), last = splat(static_cast<float>(search.form.scales - 1));
    Tried result{};
    Lanes p2{}, q{};
    for (int j = 0; j < search.sub_blocks; ++j) {
        const Lanes wanted = smaller((list.free_scale[j] * inverse - 1.0f) * 0.5f, last), middle = nearest(larger(wanted, Lanes{}));
        Part best{splat(1e30f), Lanes{}, Lanes{}};
        Lanes best_factor{};
        for (int move = -1; move <= 1; ++move) {
            const Lanes s = smaller(larger(middle + static_cast<float>(move), Lanes{}), last), factor = (2.0f * s + 1.0f) * search.form.unit;
            const Flags better = keep_better(best, try_scale(search, list, j, d * factor));
            best_factor = better ? factor : best_factor;
        }
        result.error += best.error;
        p2 += best.p2 * best_factor, q += best.q * best_factor * best_factor;
    }
    result.d = safe_divide(p2, 2.0f * q);
    return result;
}

/// The lane with the least error.
[[gnu::always_inline]] inline int least_lane(Lanes error) {
    int best = 0;
    for (int k = 1; k < 16; ++k) best = error[k] < error[best] ? k : best;
    return best;
}

/// d as f16; 0 where storing nothing is as good.
std::uint16_t search_d(const Search& search, const Shortlist& list) {
    const float largest = *std::max_element(list.free_scale, list.free_scale + search.sub_blocks);
    // The largest sub-block's scale lies from 6 % beyond the last step to 39 % inside it. Clipping it a little makes all others finer.
    // Wider or denser proposals, five s instead of three and more rounds each lower the error by less than 0.02 %.
    const Lanes position = (1.06f - 0.03f * ramp()) * (static_cast<float>(2 * search.form.scales - 1) * search.form.unit);
    Lanes d = safe_divide(splat(largest), position);
    Tried tried{};
    for (int round = 0; round < 3; ++round) {
        tried = try_steps(search, list, d);
        if (round < 2) d = tried.d;
    }
    const std::uint16_t bits = store_scale(search.sample, d[least_lane(tried.error)]);
    const int nearby = least_lane(try_steps(search, list, neighbourhood(search.sample, bits)).error);
    return neighbour(bits, nearby - 8);
}

/// The error less the energy of the values, where 2 P and Q are sums over a super-block, times the factors of d.
float error_of(const Point& chosen, float d) { return d * (d * chosen[1] - chosen[0]); }

/// The sign to flip in a group, as bit of eight.
int flip_of(const Search& search, int group, int entry) {
    const BookForm& form = search.form;
    const int bits = form.group == 8 ? 2 : 3, first = group * form.group;
    int weakest = 0;
    float least = 1e30f;
    for (int i = 0; i < form.group; ++i) {
        const float level = form.levels[form.words[entry] >> bits * i & ((1 << bits) - 1)];
        const float cost = search.sample.w[first + i] * search.sample.x[first + i] * level;
        if (cost < least) least = cost, weakest = i;
    }
    return 1 << (first + weakest) % 8;
}

/// The best s of one sub-block, tried all at once, and the entries with it.
void choose(const Search& search, const Shortlist& list, int sub_block, float d, BookCodes& codes, Point& chosen) {
    const BookForm& form = search.form;
    const int first = sub_block * search.groups_per_sub_block;
    const Flags s = Flags{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} & (form.scales - 1);
    const Lanes factors = __builtin_convertvector(2 * s + 1, Lanes) * form.unit, scale = factors * d;
    Flags winner[most_families][8];
    float least = 1e30f;
    int family = 0, lane = 0;
    for (int f = 0; f < search.families; ++f) {
        Lanes error{};
        for (int g = 0; g < search.groups_per_sub_block; ++g) {
            const Winners& winners = list.winners[f][first + g];
            Nearest nearest{splat(1e30f), Flags{}};
            for (int k = 0; k < 16; ++k) keep_nearer(winners.at[k], k, scale, nearest);
            error += nearest.value * scale;
            winner[f][g] = nearest.point;
        }
        const int best = least_lane(error);
        if (error[best] < least) least = error[best], family = f, lane = best;
    }
    codes.scales[sub_block] = static_cast<std::uint8_t>(s[lane]);
    for (int g = 0; g < search.groups_per_sub_block; ++g) {
        const Winners& winners = list.winners[family][first + g];
        const int group = first + g, k = winner[family][g][lane], entry = winners.point[k] % form.entries;
        codes.entries[group] = static_cast<std::uint16_t>(entry);
        if (form.shift != BookShift::none) codes.shifts[group] = static_cast<std::uint8_t>(winners.point[k] / form.entries);
        if (search.flipped(group)) codes.signs[group * form.group / 8] ^= static_cast<std::uint8_t>(flip_of(search, group, entry));
        chosen += winners.at[k] * Point{factors[lane], factors[lane] * factors[lane]};
    }
}

void search_codes(const BookForm& form, const float* values, const float* importance, BookCodes& codes) noexcept {
    Search search(form);
    std::memset(&codes, 0, sizeof codes);
    // The last entry of a book has no negative number, so that d = 0 decodes to +0.
    if (form.signs == BookSigns::none) std::fill(codes.entries, codes.entries + search.groups, static_cast<std::uint16_t>(form.entries - 1));
    if (!prepare(search.sample, values, importance, 256)) return;
    const BookCodes nothing = codes;
    take_signs(search, codes);
    Points points;
    Shortlist list;
    for (int j = 0; j < search.sub_blocks; ++j) shortlist(search, j, points, list);
    codes.d = search_d(search, list);
    Point chosen{};
    if (codes.d != 0)
        for (int j = 0; j < search.sub_blocks; ++j) choose(search, list, j, stored_scale(search.sample, codes.d), codes, chosen);
    if (chosen[1] > 0) {
        const std::uint16_t fitted = store_scale(search.sample, chosen[0] / (2 * chosen[1]));
        if (error_of(chosen, stored_scale(search.sample, fitted)) < error_of(chosen, stored_scale(search.sample, codes.d))) codes.d = fitted;
    }
    // Even the least d may be too large for the values.
    if (!(error_of(chosen, stored_scale(search.sample, codes.d)) < 0)) codes = nothing;
}

}  // namespace
}  // namespace tailor::formats::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats {

extern const cpu::PerIsa<SearchBook> search_book = TAILOR_EACH_ISA(search_codes);

}  // namespace tailor::formats
#endif
