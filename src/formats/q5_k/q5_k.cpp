// q5_k: super-blocks of 256 = 8 sub-blocks of 32 values, x = d * s * q - dmin * m with d and dmin in f16, s and m in 0..63
// per sub-block and q in 0..31.
//
// Layout of a super-block (176 bytes): d, dmin, 12 bytes of scales and minima (six_bit_scales.h), 32 bytes of fifth bits:
// bit j of byte i belongs to value i of sub-block j; 128 bytes with the low four bits, as in q4_k.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/six_bit_scales.h"

#define TAILOR_THIS_FILE "formats/q5_k/q5_k.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 176, values += 256) {
        float scale[8], offset[8];
        sub_block_lines(blocks, scale, offset);
        for (int part = 0; part < 2; ++part) {
            Codes fifth = load_codes(blocks + 16 + 16 * part);
            for (int pair = 0; pair < 4; ++pair) {
                const Codes both = load_codes(blocks + 48 + 32 * pair + 16 * part);
                const Codes even = (both & 15) | lift_bits(fifth, 4, 16), odd = take_bits(both, 4, 15) | lift_bits(fifth, 3, 16);
                float* const first = values + 64 * pair + 16 * part;
                scale_sixteen((SignedCodes)even, scale[2 * pair], offset[2 * pair], first);
                scale_sixteen((SignedCodes)odd, scale[2 * pair + 1], offset[2 * pair + 1], first + 32);
                fifth = take_bits(fifth, 2, 63);
            }
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    std::uint8_t low[256], *const fifth = bytes_of(block + 16);
    std::memset(fifth, 0, 32);
    for (int k = 0; k < 256; ++k) {
        fifth[k % 32] = static_cast<std::uint8_t>(fifth[k % 32] | codes[k] >> 4 << k / 32);
        low[k] = codes[k] & 15;
    }
    for (int pair = 0; pair < 4; ++pair) join_nibbles<32>(low + 64 * pair, bytes_of(block + 48 + 32 * pair));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr SubBlocks layout{32, 0, 63};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 176) {
        std::uint8_t codes[256], scales[8], minima[8];
        const HalfPair d =
            fastest(search_super_affine)(31, layout, values + i, importance ? importance + i : nullptr, scales, minima, codes);
        store_u16(blocks, d.scale);
        store_u16(blocks + 2, d.offset);
        pack_six_bit(scales, minima, bytes_of(blocks + 4));
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block), out.minimum = load_u16(block + 2);
    split_six_bit(bytes_of(block + 4), out.group_scales, out.group_minima);
    for (int pair = 0; pair < 4; ++pair) split_nibbles<32>(bytes_of(block + 48 + 32 * pair), out.codes + 64 * pair);
    for (int j = 0; j < 8; ++j)
        for (int i = 0; i < 32; ++i) out.codes[32 * j + i] |= (bytes_of(block)[16 + i] >> j & 1) << 4;
}

static constexpr IntegerForm integers{.bits = 5, .scales = ScaleKind::super, .largest_scale = 63, .minima = true, .split = &split, .join = &join, .scale_at = 0, .minimum_at = 2};

extern const Format q5_k = {
    .name = "q5_k",
    .doc = "5 bits: super-blocks of 256 with 6-bit scales and minima per 32 values",
    .values_per_block = 256,
    .bytes_per_block = 176,
    .gguf_type = 13,
    .gguf_file_type = 16,
    .facts = {.gaussian_relative_rmse = 0.0337},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
