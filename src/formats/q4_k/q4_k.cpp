// q4_k: super-blocks of 256 = 8 sub-blocks of 32 values, x = d * s * q - dmin * m with d and dmin in f16, s and m in 0..63
// per sub-block and q in 0..15. The usual choice at about 4.5 bits.
//
// Layout of a super-block (144 bytes): d, dmin, 12 bytes of scales and minima (six_bit_scales.h), 128 bytes of codes: each
// 32 bytes hold one sub-block in their low nibbles and the next in their high ones.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/six_bit_scales.h"

#define TAILOR_THIS_FILE "formats/q4_k/q4_k.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 144, values += 256) {
        float scale[8], offset[8];
        sub_block_lines(blocks, scale, offset);
        for (int pair = 0; pair < 4; ++pair)
            for (int part = 0; part < 2; ++part) {
                const Codes both = load_codes(blocks + 16 + 32 * pair + 16 * part);
                float* const first = values + 64 * pair + 16 * part;
                scale_sixteen((SignedCodes)(both & 15), scale[2 * pair], offset[2 * pair], first);
                scale_sixteen((SignedCodes)take_bits(both, 4, 15), scale[2 * pair + 1], offset[2 * pair + 1], first + 32);
            }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    for (int pair = 0; pair < 4; ++pair) join_nibbles<32>(codes + 64 * pair, bytes_of(block + 16 + 32 * pair));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr SubBlocks layout{32, 0, 63};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 144) {
        std::uint8_t codes[256], scales[8], minima[8];
        const HalfPair d =
            fastest(search_super_affine)(15, layout, values + i, importance ? importance + i : nullptr, scales, minima, codes);
        store_u16(blocks, d.scale);
        store_u16(blocks + 2, d.offset);
        pack_six_bit(scales, minima, bytes_of(blocks + 4));
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block), out.minimum = load_u16(block + 2);
    split_six_bit(bytes_of(block + 4), out.group_scales, out.group_minima);
    for (int pair = 0; pair < 4; ++pair) split_nibbles<32>(bytes_of(block + 16 + 32 * pair), out.codes + 64 * pair);
}

static constexpr IntegerForm integers{.scales = ScaleKind::super, .largest_scale = 63, .minima = true, .split = &split, .join = &join, .scale_at = 0, .minimum_at = 2};

extern const Format q4_k = {
    .name = "q4_k",
    .doc = "4 bits: super-blocks of 256 with 6-bit scales and minima per 32 values",
    .values_per_block = 256,
    .bytes_per_block = 144,
    .gguf_type = 12,
    .gguf_file_type = 14,
    .facts = {.gaussian_relative_rmse = 0.0691},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
