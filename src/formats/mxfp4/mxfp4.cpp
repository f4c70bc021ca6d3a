// mxfp4: blocks of 32 values, x = 2^(e - 128) * grid[q] with a byte e and q in 0..15: the microscaling format with 4-bit
// floats (sign, 2 exponent bits, 1 fraction bit), whose doubled values are 0 1 2 3 4 6 8 12 and their opposites. OCP
// Microscaling Formats specification 1.0 (2023); the specification's scale 2^(e - 127) applies to the values not doubled.
//
// Layout of a block (17 bytes): e, then 16 bytes of codes as in q4_0. e = 255 is NaN in the specification and never written.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/mxfp4/mxfp4.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr std::int8_t doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    const Codes grid = load_codes(doubled);
    for (; count > 0; count -= 32, blocks += 17, values += 32) {
        const std::uint32_t e = bytes_of(blocks)[0];
        const std::uint32_t bits = e < 2 ? 0x200000u << e : (e - 1) << 23;  // 2^-128 and 2^-127 are subnormal
        const auto scale = std::bit_cast<float>(bits);
        const Codes both = load_codes(blocks + 1);
        scale_sixteen((SignedCodes)look_up(grid, both & 15), scale, values);
        scale_sixteen((SignedCodes)look_up(grid, take_bits(both, 4, 15)), scale, values + 16);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

// The grid ascending, one entry twice to make sixteen, and the code of each entry.
static constexpr std::int8_t ascending[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 12};
static constexpr std::uint8_t code_of[16] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7, 7};

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    join_nibbles<16>(codes, bytes_of(block + 1));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{ascending[0], ascending[15], ascending};
    for (std::int64_t i = 0; i < count; i += 32, blocks += 17) {
        std::int8_t entries[32];
        std::uint8_t codes[32];
        const int exponent = fastest(search_exponent)(grid, values + i, importance ? importance + i : nullptr, entries);
        for (int k = 0; k < 32; ++k) codes[k] = code_of[entries[k]];
        bytes_of(blocks)[0] = static_cast<std::uint8_t>(exponent + 128);
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = bytes_of(block)[0];
    split_nibbles<16>(bytes_of(block + 1), out.codes);
}

static constexpr IntegerForm integers{.scales = ScaleKind::exponent, .table = base::doubled, .split = &split, .join = &join};

extern const Format mxfp4 = {
    .name = "mxfp4",
    .doc = "4-bit floating point: blocks of 32 with a power of two as scale (OCP microscaling)",
    .values_per_block = 32,
    .bytes_per_block = 17,
    .gguf_type = 39,
    .gguf_file_type = 38,
    .facts = {.gaussian_relative_rmse = 0.112},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
