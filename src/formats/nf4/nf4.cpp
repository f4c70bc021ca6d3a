// nf4: super-blocks of 256 = 4 sub-blocks of 64 values, x = d * s * grid[q] with d in f16, s in -63..63 per sub-block and q in 0..15: the
// 4-bit NormalFloat, whose grid has the quantiles of a normal distribution and zero, with scales that are quantized themselves
// (Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023, section 3 and appendix E).
//
// Where it leaves its paper: the grid is rounded to 127ths, 0.004 of the largest entry at most beside gaps of 0.08 and more, so that kernels
// multiply by integers; the first level of scales has 7 bits (products with d and the grid are then exact in f32), the second is a
// factor per 256 values and not per 16,384, because a block may not cross a row. GGUF has no number for it: other programs cannot read it.
//
// Layout of a super-block (134 bytes): d; 4 signed bytes s; per sub-block 32 bytes of codes, value i of 64 in the low nibble of byte i for
// i < 32, else in the high nibble of byte i - 32.
#include <algorithm>
#include <cmath>

#include "formats/format.h"
#include "formats/half.h"
#include "formats/panels.h"
#include "formats/private_types.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/nf4/nf4.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr std::int8_t quantiles[16] = {-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127};

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    const Codes grid = load_codes(quantiles);
    for (; count > 0; count -= 256, blocks += 134) {
        const float d = load_f16(blocks);
        for (int j = 0; j < 4; ++j, values += 64) {
            const float scale = d * static_cast<float>(std::to_integer<std::int8_t>(blocks[2 + j]));
            for (int part = 0; part < 2; ++part) {
                const Codes both = load_codes(blocks + 6 + 32 * j + 16 * part);
                scale_sixteen((SignedCodes)look_up(grid, both & 15), scale, values + 16 * part);
                scale_sixteen((SignedCodes)look_up(grid, take_bits(both, 4, 15)), scale, values + 32 + 16 * part);
            }
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

/// The code of 0, which a scale of 0 makes no other.
constexpr std::uint8_t zero_code = 7;
/// The largest |s|: with 11 bits of d and 7 of the grid, 24 bits are exact.
constexpr int most = 63;

struct Scales {
    std::uint16_t d = 0;
    std::int8_t s[4] = {};
};

// d such that its integer multiples come near all four scales: the largest of them is n d, for the best n. Small d are subnormal in f16;
// then few large steps are nearer than many small ones.
static Scales join_scales(const float* free) {
    float largest = 0;
    for (int j = 0; j < 4; ++j) largest = std::max(largest, std::fabs(free[j]));
    Scales best;
    if (!(largest > 0)) return best;
    float least = 1e30f;
    for (int n = most / 2; n <= most; ++n) {
        Scales tried;
        tried.d = f32_to_f16(largest / static_cast<float>(n));
        const float d = f16_to_f32(tried.d);
        if (!(d > 0)) continue;
        float error = 0;
        for (int j = 0; j < 4; ++j) {
            const float steps = std::clamp(std::nearbyint(free[j] / d), static_cast<float>(-most), static_cast<float>(most)), rest = free[j] - steps * d;
            tried.s[j] = static_cast<std::int8_t>(steps);
            error += rest * rest;
        }
        if (error < least) least = error, best = tried;
    }
    return best;
}

static std::uint8_t nearest(float x, float scale) {
    if (scale == 0) return zero_code;
    const float wanted = x / scale;
    std::uint8_t code = 0;
    while (code < 15 && wanted > 0.5f * static_cast<float>(base::quantiles[code] + base::quantiles[code + 1])) ++code;
    return code;
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{base::quantiles[0], base::quantiles[15], base::quantiles};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 134) {
        float free[4];
        for (int j = 0; j < 4; ++j) {
            std::int8_t unused[64];
            const std::int64_t at = i + 64 * j;
            free[j] = f16_to_f32(fastest(search_scale)(grid, values + at, importance ? importance + at : nullptr, 64, unused));
        }
        const Scales scales = join_scales(free);
        store_u16(blocks, scales.d);
        for (int j = 0; j < 4; ++j) {
            std::uint8_t codes[64];
            const float scale = f16_to_f32(scales.d) * static_cast<float>(scales.s[j]);
            for (int k = 0; k < 64; ++k) codes[k] = nearest(values[i + 64 * j + k], scale);
            blocks[2 + j] = static_cast<std::byte>(scales.s[j]);
            join_nibbles<32>(codes, bytes_of(blocks + 6 + 32 * j));
        }
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    for (int j = 0; j < 4; ++j) {
        // Kernels know groups of 16 and 32.
        out.group_scales[2 * j] = out.group_scales[2 * j + 1] = std::to_integer<std::uint8_t>(block[2 + j]);
        split_nibbles<32>(bytes_of(block + 6 + 32 * j), out.codes + 64 * j);
    }
}

static constexpr IntegerForm integers{.group = 32, .scales = ScaleKind::super, .largest_scale = 128, .table = base::quantiles, .split = &split};

extern const Format nf4 = {
    .name = "nf4",
    .doc = "4 bits into the quantiles of a bell curve: super-blocks of 256 with a 7-bit scale per 64 values (QLoRA's NormalFloat)",
    .values_per_block = 256,
    .bytes_per_block = 134,
    .gguf_type = private_gguf_types + 1,
    .facts = {.gaussian_relative_rmse = 0.0829},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
