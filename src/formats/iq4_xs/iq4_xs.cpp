// iq4_xs: super-blocks of 256 = 8 sub-blocks of 32 values, x = d * s * grid[q] with d in f16, s in -32..31 per sub-block and
// q in 0..15 into a fixed uneven grid (nonlinear_grid.h).
//
// Layout of a super-block (136 bytes): d; 16 bits, the upper two bits of s + 32 for sub-block j at bit 2j; 4 bytes with the low
// nibbles, two sub-blocks a byte; 128 bytes of codes, 16 per sub-block as in iq4_nl.
#include "formats/format.h"
#include "formats/nonlinear_grid.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq4_xs/iq4_xs.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    const Codes grid = load_codes(nonlinear_grid);
    for (; count > 0; count -= 256, blocks += 136, values += 256) {
        const float d = load_f16(blocks);
        const unsigned upper = load_u16(blocks + 2), lower = load_u32(blocks + 4);
        for (int j = 0; j < 8; ++j) {
            const unsigned stored = (lower >> 4 * j & 15u) | (upper >> 2 * j & 3u) << 4;
            const float scale = d * static_cast<float>(static_cast<int>(stored) - 32);
            const Codes both = load_codes(blocks + 8 + 16 * j);
            scale_sixteen((SignedCodes)look_up(grid, both & 15), scale, values + 32 * j);
            scale_sixteen((SignedCodes)look_up(grid, take_bits(both, 4, 15)), scale, values + 32 * j + 16);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{nonlinear_grid[0], nonlinear_grid[15], nonlinear_grid};
    constexpr SubBlocks layout{32, -32, 31};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 136) {
        std::int8_t codes[256], scales[8];
        store_u16(blocks,
                  fastest(search_super_scale)(grid, layout, values + i, importance ? importance + i : nullptr, scales, codes));
        std::uint32_t upper = 0, lower = 0;
        for (int j = 0; j < 8; ++j) {
            const auto stored = static_cast<std::uint32_t>(scales[j] + 32);
            lower |= (stored & 15u) << 4 * j;
            upper |= (stored >> 4) << 2 * j;
            join_nibbles<16>(reinterpret_cast<const std::uint8_t*>(codes) + 32 * j, bytes_of(blocks + 8 + 16 * j));
        }
        store_u16(blocks + 2, static_cast<std::uint16_t>(upper));
        store_u32(blocks + 4, lower);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    const unsigned upper = load_u16(block + 2), lower = load_u32(block + 4);
    for (int j = 0; j < 8; ++j) {
        out.group_scales[j] = static_cast<std::uint8_t>(((lower >> 4 * j & 15u) | (upper >> 2 * j & 3u) << 4) - 32);
        split_nibbles<16>(bytes_of(block + 8 + 16 * j), out.codes + 32 * j);
    }
}

static constexpr IntegerForm integers{.scales = ScaleKind::super, .largest_scale = 32, .table = nonlinear_grid, .split = &split};

extern const Format iq4_xs = {
    .name = "iq4_xs",
    .doc = "4 bits into an uneven grid: super-blocks of 256 with a 6-bit scale per 32 values",
    .values_per_block = 256,
    .bytes_per_block = 136,
    .gguf_type = 23,
    .gguf_file_type = 30,
    .facts = {.gaussian_relative_rmse = 0.0737},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
