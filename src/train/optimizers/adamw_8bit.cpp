// AdamW whose moments are kept in eight bits: 2 bytes per weight and 8 per block of 256 instead of 8 per weight.
//
// Each block of 256 numbers is divided by its largest and each quotient becomes the nearest of 256 values that lie dense near 1 and reach
// down seven decades: with E leading zero bits and k bits after the one that ends them, 10^-E times one of 2^k values between 0.1 and 1
// (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2022, section 2). Unlike there, the root of v is stored, not v: it
// spans as many decades as m, so a small gradient beside a large one does not lose its denominator. The formulas are those of AdamW.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

static constexpr double first_decay = 0.9, second_decay = 0.95;
static constexpr float epsilon = 1e-8f;
static constexpr std::int64_t block = 256;
static_assert(chunk % block == 0);

/// 256 values in rising order, and how to find the nearest.
struct Codebook {
    // Of a number's bits: sign, exponent and six of the mantissa. Between two such numbers lie at most two bounds: values are no denser
    // than 0.9 / 128 near 1, where the numbers stand 1 / 128 apart.
    static constexpr int low_bits = 17;
    std::array<float, 256> values{};
    std::array<float, 257> bounds{};                          ///< bounds[i]: from here on value i is nearest; the last is above everything
    std::array<std::uint8_t, (1U << (32 - low_bits))> first;  ///< by the leading bits: the code of the smallest number that has them

    explicit Codebook(bool with_sign) {
        std::vector<double> list{0};
        const int bits = with_sign ? 7 : 8;
        for (int zeros = 0; zeros < bits; ++zeros) {
            const int steps = 1 << (bits - 1 - zeros);
            for (int i = 0; i < steps; ++i) {
                const double value = std::pow(10.0, -zeros) * (0.1 + 0.9 * (i + 0.5) / steps);
                list.push_back(value);
                if (with_sign) list.push_back(-value);
            }
        }
        // The code of minus zero is free where there are signs; elsewhere the largest value gives way.
        if (with_sign) list.push_back(1);
        std::sort(list.begin(), list.end());
        list.back() = 1;
        for (std::size_t i = 0; i < 256; ++i) values[i] = static_cast<float>(list[i]);
        bounds[0] = -std::numeric_limits<float>::infinity(), bounds[256] = std::numeric_limits<float>::infinity();
        for (std::size_t i = 1; i < 256; ++i) bounds[i] = static_cast<float>((list[i - 1] + list[i]) / 2);
        for (std::uint32_t key = 0; key < first.size(); ++key) {
            const bool negative = key >= first.size() / 2;
            const float least = std::bit_cast<float>((key << low_bits) | (negative ? (1U << low_bits) - 1 : 0));
            first[key] = static_cast<std::uint8_t>(std::upper_bound(bounds.begin() + 1, bounds.end() - 1, least) - bounds.begin() - 1);
        }
    }

    /// The code of the nearest value; |x| <= 1.
    std::uint8_t code(float x) const {
        std::uint32_t at = first[std::bit_cast<std::uint32_t>(x) >> low_bits];
        at += bounds[at + 1] <= x;
        at += bounds[at + 1] <= x;
        return static_cast<std::uint8_t>(at);
    }

    void decode(const std::uint8_t* codes, float scale, std::int64_t count, float* numbers) const {
        for (std::int64_t i = 0; i < count; ++i) numbers[i] = values[codes[i]] * scale;
    }
    /// Returns the scale.
    float encode(const float* numbers, std::int64_t count, std::uint8_t* codes) const {
        float largest = 0;
        for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(numbers[i]));
        const float scale = largest > 0 ? largest : 1;
        for (std::int64_t i = 0; i < count; ++i) codes[i] = code(numbers[i] / scale);
        return largest;
    }
};

static std::vector<StatePart> adamw_8bit_state(const Parameter& parameter) {
    const std::int64_t numbers = parameter.numbers(), blocks = (numbers + block - 1) / block;
    return {{"mean", numbers}, {"mean.scales", 4 * blocks}, {"root", numbers}, {"root.scales", 4 * blocks}};
}

static void adamw_8bit_update(const Update& u) {
    static const Codebook signed_codes(true), unsigned_codes(false);
    constexpr auto b1 = static_cast<float>(first_decay), b2 = static_cast<float>(second_decay);
    const auto scale = static_cast<float>(u.gradient_scale), kept = static_cast<float>(1 - u.rate * u.weight_decay);
    const double first = 1 - std::pow(first_decay, static_cast<double>(u.step)), second = 1 - std::pow(second_decay, static_cast<double>(u.step));
    const auto pace = static_cast<float>(u.rate / first), correction = static_cast<float>(1 / std::sqrt(second));
    auto *const mean = u.state.part<std::uint8_t>(0), *const root = u.state.part<std::uint8_t>(2);
    float *const mean_scales = u.state.part<float>(1), *const root_scales = u.state.part<float>(3);
    for_chunks(u.pool, u.parameter.numbers(), [&](std::int64_t begin, std::int64_t end) {
        float m[block], r[block];
        for (std::int64_t at = begin; at < end; at += block) {
            const std::int64_t count = std::min(block, end - at);
            signed_codes.decode(mean + at, mean_scales[at / block], count, m);
            unsigned_codes.decode(root + at, root_scales[at / block], count, r);
            for (std::int64_t i = 0; i < count; ++i) {
                const float g = u.gradient[at + i] * scale;
                m[i] = b1 * m[i] + (1 - b1) * g;
                r[i] = std::sqrt(b2 * r[i] * r[i] + (1 - b2) * g * g);
                u.weights[at + i] = u.weights[at + i] * kept - pace * m[i] / (r[i] * correction + epsilon);
            }
            mean_scales[at / block] = signed_codes.encode(m, count, mean + at);
            root_scales[at / block] = unsigned_codes.encode(r, count, root + at);
        }
    });
}

namespace entries {
extern const Optimizer adamw_8bit = {
    .name = "adamw-8bit",
    .doc = "AdamW with moments in eight bits, block by block; 2 bytes per weight",
    .rate = 2e-3,
    .weight_decay = 0.1,
    .by_number = true,
    .state = &adamw_8bit_state,
    .update = &adamw_8bit_update,
};
}  // namespace entries
}  // namespace tailor::train::optimizers
