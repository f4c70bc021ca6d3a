// q5_0: blocks of 32 values, x = d * (q - 16) with d in f16 and q in 0..31.
//
// Layout of a block (22 bytes): d, 32 fifth bits, then 16 bytes with the low four bits, as in q4_0.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q5_0/q5_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 32, blocks += 22, values += 32) {
        const float d = load_f16(blocks);
        const std::uint8_t* const fifth = bytes_of(blocks + 2);
        const Codes both = load_codes(blocks + 6);
        scale_sixteen((SignedCodes)(((both & 15) | fifth_bits(fifth)) - 16), d, values);
        scale_sixteen((SignedCodes)((take_bits(both, 4, 15) | fifth_bits(fifth + 2)) - 16), d, values + 16);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    std::uint8_t low[32];
    std::memcpy(low, codes, sizeof low);
    take_fifth_bits(low, bytes_of(block + 2));
    join_nibbles<16>(low, bytes_of(block + 6));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{-16, 15};
    for (std::int64_t i = 0; i < count; i += 32, blocks += 22) {
        std::int8_t numbers[32];
        std::uint8_t codes[32];
        store_u16(blocks, fastest(search_scale)(grid, values + i, importance ? importance + i : nullptr, 32, numbers));
        for (int k = 0; k < 32; ++k) codes[k] = static_cast<std::uint8_t>(numbers[k] + 16);
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    split_nibbles<16>(bytes_of(block + 6), out.codes);
    add_fifth_bits(load_u32(block + 2), out.codes);
}

static constexpr IntegerForm integers{.bits = 5, .zero = 16, .split = &split, .join = &join, .scale_at = 0};

extern const Format q5_0 = {
    .name = "q5_0",
    .doc = "5 bits: blocks of 32 with one f16 scale",
    .values_per_block = 32,
    .bytes_per_block = 22,
    .gguf_type = 6,
    .gguf_file_type = 8,
    .facts = {.gaussian_relative_rmse = 0.04},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
