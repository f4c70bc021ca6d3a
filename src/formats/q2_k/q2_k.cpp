// q2_k: super-blocks of 256 = 16 sub-blocks of 16 values, x = d * s * q - dmin * m with d and dmin in f16, s and m in 0..15
// per sub-block and q in 0..3.
//
// Layout of a super-block (84 bytes): 16 bytes, s in the low nibble and m in the high one; 64 bytes of codes; d; dmin. Each
// half of 128 values has 32 bytes of codes: value 32 k + i of the half is in bits 2k and 2k + 1 of byte i.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q2_k/q2_k.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 84, values += 256) {
        const Codes pairs = load_codes(blocks);
        const float d = load_f16(blocks + 80), dmin = load_f16(blocks + 82);
        float scale[16], offset[16];
        scale_sixteen((SignedCodes)(pairs & 15), d, scale);
        scale_sixteen((SignedCodes)take_bits(pairs, 4, 15), -dmin, offset);
        for (int half = 0; half < 2; ++half)
            for (int part = 0; part < 2; ++part) {
                const Codes packed = load_codes(blocks + 16 + 32 * half + 16 * part);
                for (int k = 0; k < 4; ++k) {
                    const int j = 8 * half + 2 * k + part;
                    scale_sixteen((SignedCodes)take_bits(packed, 2 * k, 3), scale[j], offset[j], values + 16 * j);
                }
            }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    for (int half = 0; half < 2; ++half) {
        const std::uint8_t* const c = codes + 128 * half;
        for (int k = 0; k < 32; ++k)
            bytes_of(block)[16 + 32 * half + k] = static_cast<std::uint8_t>(c[k] | c[32 + k] << 2 | c[64 + k] << 4 | c[96 + k] << 6);
    }
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr SubBlocks layout{16, 0, 15};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 84) {
        std::uint8_t codes[256], scales[16], minima[16], *const bytes = bytes_of(blocks);
        const HalfPair d =
            fastest(search_super_affine)(3, layout, values + i, importance ? importance + i : nullptr, scales, minima, codes);
        for (int j = 0; j < 16; ++j) bytes[j] = static_cast<std::uint8_t>(scales[j] | minima[j] << 4);
        join(codes, blocks);
        store_u16(blocks + 80, d.scale);
        store_u16(blocks + 82, d.offset);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block + 80), out.minimum = load_u16(block + 82);
    for (int j = 0; j < 16; ++j) out.group_scales[j] = bytes_of(block)[j] & 15, out.group_minima[j] = bytes_of(block)[j] >> 4;
    for (int half = 0; half < 2; ++half) split_pairs<32>(bytes_of(block + 16 + 32 * half), out.codes + 128 * half);
}

static constexpr IntegerForm integers{.bits = 2, .group = 16, .scales = ScaleKind::super_nibble, .largest_scale = 15, .minima = true, .split = &split, .join = &join, .scale_at = 80, .minimum_at = 82};

extern const Format q2_k = {
    .name = "q2_k",
    .doc = "2 bits: super-blocks of 256 with 4-bit scales and minima per 16 values",
    .values_per_block = 256,
    .bytes_per_block = 84,
    .gguf_type = 10,
    .gguf_file_type = 10,
    .facts = {.gaussian_relative_rmse = 0.258},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
