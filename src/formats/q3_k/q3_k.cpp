// q3_k: super-blocks of 256 = 16 sub-blocks of 16 values, x = d * s * (q - 4) with d in f16, s in -32..31 per sub-block and
// q in 0..7.
//
// Layout of a super-block (110 bytes): 32 bytes of third bits; 64 bytes of low two bits; 12 bytes of scales; d. Each half of
// 128 values has 32 bytes of low bits: value 32 k + i of half h is in bits 2k and 2k + 1 of byte i; its third bit is
// bit 4h + k of byte i of the third bits. A scale is stored as s + 32: scale j has its low four bits in a nibble of
// byte j % 8 (the low one for j < 8) and its upper two in bits 2 (j / 4) of byte 8 + j % 4.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q3_k/q3_k.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

/// The sixteen scales of the 12 bytes, from -32 to 31.
[[gnu::always_inline]] inline SignedCodes unpack_scales(const std::uint8_t* packed) {
    const std::uint32_t a = load_u32(packed), b = load_u32(packed + 4), upper = load_u32(packed + 8);
    const std::uint32_t words[4] = {
        (a & 0x0F0F0F0Fu) | (upper << 4 & 0x30303030u), (b & 0x0F0F0F0Fu) | (upper << 2 & 0x30303030u),
        (a >> 4 & 0x0F0F0F0Fu) | (upper & 0x30303030u), (b >> 4 & 0x0F0F0F0Fu) | (upper >> 2 & 0x30303030u)};
    return (SignedCodes)(load_codes(words) - 32);
}

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 110, values += 256) {
        float scale[16];
        scale_sixteen(unpack_scales(bytes_of(blocks + 96)), load_f16(blocks + 108), scale);
        for (int half = 0; half < 2; ++half)
            for (int part = 0; part < 2; ++part) {
                const Codes third = load_codes(blocks + 16 * part), low = load_codes(blocks + 32 + 32 * half + 16 * part);
                for (int k = 0; k < 4; ++k) {
                    const int j = 8 * half + 2 * k + part, bit = 4 * half + k;
                    const Codes upper = bit < 2 ? lift_bits(third, 2 - bit, 4) : take_bits(third, bit - 2, 4);
                    scale_sixteen((SignedCodes)((take_bits(low, 2 * k, 3) | upper) - 4), scale[j], values + 16 * j);
                }
            }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void pack_scales(const std::int8_t* scales, std::uint8_t* packed) {
    std::memset(packed, 0, 12);
    for (int j = 0; j < 16; ++j) {
        const int stored = scales[j] + 32;
        packed[j % 8] = static_cast<std::uint8_t>(packed[j % 8] | (stored & 15) << (j < 8 ? 0 : 4));
        packed[8 + j % 4] = static_cast<std::uint8_t>(packed[8 + j % 4] | stored >> 4 << 2 * (j / 4));
    }
}

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    std::uint8_t *const third = bytes_of(block), *const low = third + 32;
    std::memset(third, 0, 96);
    for (int k = 0; k < 256; ++k) {
        const int half = k / 128, plane = k / 32, byte = k % 32;
        low[32 * half + byte] = static_cast<std::uint8_t>(low[32 * half + byte] | (codes[k] & 3) << 2 * (plane % 4));
        third[byte] = static_cast<std::uint8_t>(third[byte] | codes[k] >> 2 << plane);
    }
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{-4, 3};
    constexpr SubBlocks layout{16, -32, 31};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 110) {
        std::int8_t numbers[256], scales[16];
        store_u16(blocks + 108,
                  fastest(search_super_scale)(grid, layout, values + i, importance ? importance + i : nullptr, scales, numbers));
        std::uint8_t codes[256];
        for (int k = 0; k < 256; ++k) codes[k] = static_cast<std::uint8_t>(numbers[k] + 4);
        join(codes, blocks);
        pack_scales(scales, bytes_of(blocks) + 96);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block + 108);
    const base::SignedCodes scales = base::unpack_scales(bytes_of(block + 96));
    std::memcpy(out.group_scales, &scales, sizeof scales);
    for (int half = 0; half < 2; ++half) {
        std::uint8_t* const codes = out.codes + 128 * half;
        split_pairs<32>(bytes_of(block + 32 + 32 * half), codes);
        for (int k = 0; k < 4; ++k)
            for (int i = 0; i < 32; ++i) codes[32 * k + i] |= (bytes_of(block)[i] >> (4 * half + k) & 1) << 2;
    }
}

static constexpr IntegerForm integers{.bits = 3, .zero = 4, .group = 16, .scales = ScaleKind::super, .largest_scale = 32, .split = &split, .join = &join, .scale_at = 108};

extern const Format q3_k = {
    .name = "q3_k",
    .doc = "3 bits: super-blocks of 256 with a 6-bit scale per 16 values",
    .values_per_block = 256,
    .bytes_per_block = 110,
    .gguf_type = 11,
    .gguf_file_type = 11,
    .facts = {.gaussian_relative_rmse = 0.144},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
