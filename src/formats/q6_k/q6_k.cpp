// q6_k: super-blocks of 256 = 16 sub-blocks of 16 values, x = d * s * (q - 32) with d in f16, s in -128..127 per sub-block
// and q in 0..63.
//
// Layout of a super-block (210 bytes): 128 bytes of low nibbles; 64 bytes of upper bits; 16 signed bytes s; d. A half of 128
// values has 64 bytes of nibbles and 32 bytes of upper bits: value 32 k + i of the half has its low nibble in byte
// 32 (k % 2) + i (in the high nibble for k >= 2) and its upper two bits in bits 2k and 2k + 1 of byte i.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q6_k/q6_k.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 210, values += 256) {
        float scale[16];
        scale_sixteen((SignedCodes)load_codes(blocks + 192), load_f16(blocks + 208), scale);
        for (int half = 0; half < 2; ++half)
            for (int part = 0; part < 2; ++part) {
                const Codes even = load_codes(blocks + 64 * half + 16 * part),
                            odd = load_codes(blocks + 64 * half + 32 + 16 * part);
                const Codes upper = load_codes(blocks + 128 + 32 * half + 16 * part);
                const Codes codes[4] = {(even & 15) | lift_bits(upper, 4, 48), (odd & 15) | lift_bits(upper, 2, 48),
                                        take_bits(even, 4, 15) | (upper & 48), take_bits(odd, 4, 15) | take_bits(upper, 2, 48)};
                for (int k = 0; k < 4; ++k) {
                    const int j = 8 * half + 2 * k + part;
                    scale_sixteen((SignedCodes)(codes[k] - 32), scale[j], values + 16 * j);
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
        std::uint8_t low[128], *const upper = bytes_of(block) + 128 + 32 * half;
        for (int k = 0; k < 32; ++k)
            upper[k] = static_cast<std::uint8_t>(c[k] >> 4 | c[32 + k] >> 4 << 2 | c[64 + k] >> 4 << 4 | c[96 + k] >> 4 << 6);
        for (int k = 0; k < 128; ++k) low[k] = c[k] & 15;
        join_nibbles<64>(low, bytes_of(block) + 64 * half);
    }
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{-32, 31};
    constexpr SubBlocks layout{16, -128, 127};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 210) {
        std::int8_t numbers[256], scales[16];
        store_u16(blocks + 208,
                  fastest(search_super_scale)(grid, layout, values + i, importance ? importance + i : nullptr, scales, numbers));
        std::memcpy(blocks + 192, scales, sizeof scales);
        std::uint8_t codes[256];
        for (int k = 0; k < 256; ++k) codes[k] = static_cast<std::uint8_t>(numbers[k] + 32);
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block + 208);
    std::memcpy(out.group_scales, block + 192, 16);
    for (int half = 0; half < 2; ++half) {
        std::uint8_t upper[128], *const codes = out.codes + 128 * half;
        split_nibbles<64>(bytes_of(block + 64 * half), codes);
        split_pairs<32>(bytes_of(block + 128 + 32 * half), upper);
        for (int i = 0; i < 128; ++i) codes[i] |= upper[i] << 4;
    }
}

static constexpr IntegerForm integers{.bits = 6, .zero = 32, .group = 16, .scales = ScaleKind::super, .largest_scale = 128, .split = &split, .join = &join, .scale_at = 208};

extern const Format q6_k = {
    .name = "q6_k",
    .doc = "6 bits: super-blocks of 256 with an 8-bit scale per 16 values",
    .values_per_block = 256,
    .bytes_per_block = 210,
    .gguf_type = 14,
    .gguf_file_type = 18,
    .facts = {.gaussian_relative_rmse = 0.0164},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
