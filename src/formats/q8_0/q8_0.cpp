// q8_0: blocks of 32 values, x = d * q with d in f16 and q in -128..127. Next to lossless for weights.
//
// Layout of a block (34 bytes): d, then the 32 codes as signed bytes.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q8_0/q8_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 32, blocks += 34, values += 32) {
        const float d = load_f16(blocks);
        for (int i = 0; i < 32; i += 16) scale_sixteen((SignedCodes)load_codes(blocks + 2 + i), d, values + i);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

// -128 is left unused: some integer kernels negate codes, and -128 has no opposite in a byte.
static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{-127, 127};
    for (std::int64_t i = 0; i < count; i += 32, blocks += 34) {
        std::int8_t codes[32];
        store_u16(blocks, fastest(search_scale)(grid, values + i, importance ? importance + i : nullptr, 32, codes));
        std::memcpy(blocks + 2, codes, sizeof codes);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    for (int i = 0; i < 32; ++i) out.codes[i] = bytes_of(block)[2 + i] ^ 0x80;
}

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    for (int i = 0; i < 32; ++i) bytes_of(block)[2 + i] = codes[i] ^ 0x80;
}

static constexpr IntegerForm integers{.bits = 8, .zero = 128, .levels = 255, .split = &split, .join = &join, .scale_at = 0};

extern const Format q8_0 = {
    .name = "q8_0",
    .doc = "8 bits: blocks of 32 with one f16 scale; next to lossless",
    .values_per_block = 32,
    .bytes_per_block = 34,
    .gguf_type = 8,
    .gguf_file_type = 7,
    .facts = {.gaussian_relative_rmse = 0.0047},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
