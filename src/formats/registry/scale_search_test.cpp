// The searches behind the encoders: the same bits at every instruction-set level, close to the optimum that brute force finds,
// and well below plain rounding on rows with heavy tails.
#include "formats/scale_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/half.h"
#include "formats/nonlinear_grid.h"
#include "formats/test_rows.h"

namespace tailor::formats {
namespace {

using test::random_row, test::Shape;

constexpr Grid nonlinear{nonlinear_grid[0], nonlinear_grid[15], nonlinear_grid};
constexpr std::int8_t fourths[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 12};

/// Ascending scales as of an 8-bit float: eight to an octave.
std::vector<float> listed_scales() {
    std::vector<float> scales{0.0f};
    for (int k = 0; k < 100; ++k) scales.push_back(std::ldexp(static_cast<float>(8 + k % 8), k / 8 - 10));
    return scales;
}

/// Everything a search writes and returns, as bytes to compare.
using Written = std::vector<int>;

template <class T, std::size_t n>
void add(Written& written, const T (&values)[n]) {
    written.insert(written.end(), std::begin(values), std::end(values));
}

Written all_searches(cpu::Isa level, const float* x, const float* w) {
    Written written;
    for (const Grid& grid : {Grid{-8, 7}, Grid{-127, 127}, nonlinear}) {
        std::int8_t codes[32] = {};
        written.push_back(search_scale.at(level)(grid, x, w, 32, codes));
        add(written, codes);
    }
    for (int high : {15, 31}) {
        std::uint8_t codes[32] = {};
        const HalfPair line = search_affine.at(level)(high, x, w, 32, codes);
        written.insert(written.end(), {line.scale, line.offset});
        add(written, codes);
    }
    std::int8_t codes[32] = {};
    written.push_back(search_exponent.at(level)({-12, 12, fourths}, x, w, codes));
    add(written, codes);
    const std::vector<float> list = listed_scales();
    written.push_back(search_listed.at(level)({-12, 12, fourths}, list.data(), static_cast<int>(list.size()), x, w, 32, codes));
    add(written, codes);
    struct {
        Grid grid;
        SubBlocks layout;
    } const scaled[] = {{{-4, 3}, {16, -32, 31}}, {{-32, 31}, {16, -128, 127}}, {nonlinear, {32, -32, 31}}};
    for (const auto& [grid, layout] : scaled) {
        std::int8_t scales[16] = {}, numbers[256] = {};
        written.push_back(search_super_scale.at(level)(grid, layout, x, w, scales, numbers));
        add(written, scales);
        add(written, numbers);
    }
    for (int high : {3, 15, 31}) {
        const SubBlocks layout = high == 3 ? SubBlocks{16, 0, 15} : SubBlocks{32, 0, 63};
        std::uint8_t scales[16] = {}, minima[16] = {}, numbers[256] = {};
        const HalfPair d = search_super_affine.at(level)(high, layout, x, w, scales, minima, numbers);
        written.insert(written.end(), {d.scale, d.offset});
        add(written, scales);
        add(written, minima);
        add(written, numbers);
    }
    return written;
}

TEST(ScaleSearch, every_level_finds_the_same_bits) {
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
        const auto row = random_row(test::shapes[seed % 4], 256, seed, seed % 3 ? 0.02f : 40.0f);
        const auto importance = test::random_importance(256, seed);
        for (const float* w : {static_cast<const float*>(nullptr), importance.data()}) {
            const Written expected = all_searches(cpu::Isa::base, row.data(), w);
            for (const cpu::Isa level : cpu::available_isas())
                ASSERT_EQ(all_searches(level, row.data(), w), expected) << cpu::name(level) << seed;
        }
    }
}

double error_of(double scale, const Grid& grid, const std::vector<float>& x, const std::vector<float>& w) {
    double error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        double best = INFINITY;
        if (grid.codebook) {
            for (int k = 0; k < 16; ++k) best = std::min(best, std::fabs(x[i] - scale * grid.codebook[k]));
        } else {
            const double q = std::clamp<double>(std::nearbyint(x[i] / scale), grid.low, grid.high);
            best = std::fabs(x[i] - scale * q);
        }
        error += w[i] * best * best;
    }
    return error;
}

TEST(ScaleSearch, is_close_to_the_best_of_all_halves) {
    for (const Grid& grid : {Grid{-4, 3}, Grid{-8, 7}, Grid{-16, 15}, nonlinear}) {
        double ours = 0, best = 0;
        for (std::uint64_t seed = 0; seed < 12; ++seed) {
            const auto x = random_row(test::shapes[seed % 3], 32, 100 + seed);
            const auto w = seed % 2 ? test::random_importance(32, seed) : std::vector<float>(32, 1.0f);
            std::int8_t codes[32];
            const std::uint16_t bits = fastest(search_scale)(grid, x.data(), w.data(), 32, codes);
            const double scale = f16_to_f32(bits);
            double written = 0, optimum = INFINITY;
            for (int i = 0; i < 32; ++i)
                written += w[i] * std::pow(x[i] - scale * (grid.codebook ? grid.codebook[codes[i]] : codes[i]), 2);
            ASSERT_NEAR(written, error_of(scale, grid, x, w), 1e-4 * written) << "codes are the nearest for this scale";
            float extreme = 0;
            for (float value : x) extreme = std::max(extreme, std::fabs(value));
            const int first = f32_to_f16(extreme / static_cast<float>(-grid.low) * 0.4f),
                      last = f32_to_f16(extreme / static_cast<float>(-grid.low) * 1.6f);
            for (int candidate = first; candidate < last; ++candidate)
                for (int sign : {1, -1})
                    optimum = std::min(optimum, error_of(sign * f16_to_f32(static_cast<std::uint16_t>(candidate)), grid, x, w));
            ours += written, best += optimum;
        }
        EXPECT_LE(ours, 1.04 * best) << grid.low;  // of the squares: 2 % of the root
    }
}

TEST(ScaleSearch, ternary_is_optimal) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
        const auto x = random_row(test::shapes[seed % 3], 256, seed);
        const auto w = seed % 2 ? test::random_importance(256, seed) : std::vector<float>(256, 1.0f);
        std::int8_t codes[256];
        const double scale = f16_to_f32(search_ternary(x.data(), w.data(), codes));
        double written = 0, optimum = INFINITY;
        for (int i = 0; i < 256; ++i) written += w[i] * std::pow(x[i] - scale * codes[i], 2);
        for (double candidate = 0.01; candidate < 20; candidate *= 1.0005)
            optimum = std::min(optimum, error_of(candidate, {-1, 1}, x, w));
        EXPECT_LE(written, optimum * (1 + 1e-5));
    }
}

TEST(ScaleSearch, listed_scales_are_as_good_as_the_best_of_the_list) {
    const std::vector<float> list = listed_scales();
    const Grid grid{-12, 12, fourths};
    double ours = 0, best = 0;
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
        const auto x = random_row(test::shapes[seed % 4], 16, 500 + seed, 0.2f);
        const auto w = seed % 2 ? test::random_importance(16, seed) : std::vector<float>(16, 1.0f);
        std::int8_t codes[16];
        const int index = fastest(search_listed)(grid, list.data(), static_cast<int>(list.size()), x.data(), w.data(), 16, codes);
        double written = 0, optimum = INFINITY;
        for (std::size_t i = 0; i < 16; ++i) written += w[i] * std::pow(x[i] - list[static_cast<std::size_t>(index)] * fourths[codes[i]], 2);
        for (std::size_t k = 1; k < list.size(); ++k) optimum = std::min(optimum, error_of(list[k], grid, x, w));
        ours += written, best += optimum;
    }
    EXPECT_LE(ours, 1.01 * best);
}

TEST(ScaleSearch, one_magnitude_is_optimal) {
    const auto x = random_row(Shape::laplace, 128, 3), w = test::random_importance(128, 4);
    const auto error = [&](double d) {
        double sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) sum += w[i] * std::pow(std::fabs(x[i]) - d, 2);
        return sum;
    };
    const double d = f16_to_f32(search_magnitude(x.data(), w.data(), 128));
    for (double factor : {0.5, 0.99, 0.999, 1.001, 1.01, 2.0}) EXPECT_LT(error(d), error(factor * d)) << factor;
}

TEST(ScaleSearch, a_block_on_a_grid_is_found) {
    // Full use of the grid -8..7 at either sign of the scale: nothing may be lost.
    for (float scale : {0.125f, -0.0078125f}) {
        float x[32];
        for (int i = 0; i < 32; ++i) x[i] = scale * static_cast<float>(i % 16 - 8);
        std::int8_t codes[32];
        EXPECT_EQ(f16_to_f32(fastest(search_scale)({-8, 7}, x, nullptr, 32, codes)), scale);
        for (int i = 0; i < 32; ++i) EXPECT_EQ(codes[i], i % 16 - 8);
    }
}

TEST(ScaleSearch, an_offset_block_is_found) {
    float x[32];
    for (int i = 0; i < 32; ++i) x[i] = 5.0f + 0.25f * static_cast<float>(i % 16);
    std::uint8_t codes[32];
    const HalfPair line = fastest(search_affine)(15, x, nullptr, 32, codes);
    EXPECT_EQ(f16_to_f32(line.scale), 0.25f);
    EXPECT_EQ(f16_to_f32(line.offset), 5.0f);
}

/// Mean square error of rounding each block of `size` between its least and largest value, without any second level.
double plain_error(const std::vector<float>& row, std::size_t size, int high) {
    double error = 0;
    for (std::size_t start = 0; start < row.size(); start += size) {
        const auto [low, top] = std::minmax_element(row.begin() + static_cast<std::ptrdiff_t>(start),
                                                    row.begin() + static_cast<std::ptrdiff_t>(start + size));
        const double step = (double{*top} - *low) / high;
        for (std::size_t i = start; i < start + size; ++i)
            error += std::pow(row[i] - (*low + step * std::nearbyint((row[i] - *low) / step)), 2);
    }
    return error;
}

TEST(ScaleSearch, super_blocks_beat_plain_rounding_with_free_scales) {
    struct {
        int high;
        SubBlocks layout;
        double share;  ///< of the plain error that may remain, in spite of the coarser scales
    } const cases[] = {{3, {16, 0, 15}, 0.8}, {15, {32, 0, 63}, 0.85}, {31, {32, 0, 63}, 0.85}};
    for (const auto& [high, layout, share] : cases)
        for (Shape shape : test::shapes) {
            const auto row = random_row(shape, 64 * 256, 17);
            double error = 0;
            for (std::size_t start = 0; start < row.size(); start += 256) {
                std::uint8_t scales[16], minima[16], codes[256];
                const HalfPair d = fastest(search_super_affine)(high, layout, row.data() + start, nullptr, scales, minima, codes);
                for (int i = 0; i < 256; ++i) {
                    const int j = i / layout.size;
                    const double decoded =
                        double{f16_to_f32(d.scale)} * scales[j] * codes[i] - double{f16_to_f32(d.offset)} * minima[j];
                    error += std::pow(row[start + static_cast<std::size_t>(i)] - decoded, 2);
                }
            }
            EXPECT_LE(error, share * plain_error(row, static_cast<std::size_t>(layout.size), high))
                << high << " " << static_cast<int>(shape);
        }
}

}  // namespace
}  // namespace tailor::formats
