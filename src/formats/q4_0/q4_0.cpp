// q4_0: blocks of 32 values, x = d * (q - 8) with d in f16 and q in 0..15.
//
// Layout of a block (18 bytes): d, then 16 bytes whose low nibbles are codes 0..15 and whose high nibbles are codes 16..31.
// The grid -8..7 is uneven, so d may be negative: then the finer end lies on the other side.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q4_0/q4_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 32, blocks += 18, values += 32) {
        const float d = load_f16(blocks);
        const Codes both = load_codes(blocks + 2);
        scale_sixteen((SignedCodes)((both & 15) - 8), d, values);
        scale_sixteen((SignedCodes)(take_bits(both, 4, 15) - 8), d, values + 16);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    join_nibbles<16>(codes, bytes_of(block + 2));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{-8, 7};
    for (std::int64_t i = 0; i < count; i += 32, blocks += 18) {
        std::int8_t numbers[32];
        std::uint8_t codes[32];
        store_u16(blocks, fastest(search_scale)(grid, values + i, importance ? importance + i : nullptr, 32, numbers));
        for (int k = 0; k < 32; ++k) codes[k] = static_cast<std::uint8_t>(numbers[k] + 8);
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    split_nibbles<16>(bytes_of(block + 2), out.codes);
}

static constexpr IntegerForm integers{.zero = 8, .split = &split, .join = &join, .scale_at = 0};

extern const Format q4_0 = {
    .name = "q4_0",
    .doc = "4 bits: blocks of 32 with one f16 scale; the simplest to unpack",
    .values_per_block = 32,
    .bytes_per_block = 18,
    .gguf_type = 2,
    .gguf_file_type = 2,
    .facts = {.gaussian_relative_rmse = 0.081},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
