// q5_1: blocks of 32 values, x = d * q + m with d and m in f16 and q in 0..31.
//
// Layout of a block (24 bytes): d, m, 32 fifth bits, then 16 bytes with the low four bits, as in q4_1.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q5_1/q5_1.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 32, blocks += 24, values += 32) {
        const float d = load_f16(blocks), m = load_f16(blocks + 2);
        const std::uint8_t* const fifth = bytes_of(blocks + 4);
        const Codes both = load_codes(blocks + 8);
        scale_sixteen((SignedCodes)((both & 15) | fifth_bits(fifth)), d, m, values);
        scale_sixteen((SignedCodes)(take_bits(both, 4, 15) | fifth_bits(fifth + 2)), d, m, values + 16);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    std::uint8_t low[32];
    std::memcpy(low, codes, sizeof low);
    take_fifth_bits(low, bytes_of(block + 4));
    join_nibbles<16>(low, bytes_of(block + 8));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 32, blocks += 24) {
        std::uint8_t codes[32];
        const HalfPair line = fastest(search_affine)(31, values + i, importance ? importance + i : nullptr, 32, codes);
        store_u16(blocks, line.scale);
        store_u16(blocks + 2, line.offset);
        join(codes, blocks);
    }
}

// The minimum of an IntegerForm is subtracted, so m changes its sign.
static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block), out.minimum = load_u16(block + 2) ^ 0x8000;
    split_nibbles<16>(bytes_of(block + 8), out.codes);
    add_fifth_bits(load_u32(block + 4), out.codes);
}

static constexpr IntegerForm integers{.bits = 5, .minima = true, .split = &split, .join = &join, .scale_at = 0, .minimum_at = 2};

extern const Format q5_1 = {
    .name = "q5_1",
    .doc = "5 bits: blocks of 32 with an f16 scale and an f16 offset",
    .values_per_block = 32,
    .bytes_per_block = 24,
    .gguf_type = 7,
    .gguf_file_type = 9,
    .facts = {.gaussian_relative_rmse = 0.033},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
