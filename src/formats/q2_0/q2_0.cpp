// q2_0: blocks of 64 values, x = d * (q - 1) with d in f16 and q in 0..3 in two bits: -d, 0, d and 2 d. For models trained ternary.
//
// Layout of a block (18 bytes): d, then 16 bytes of codes, value 4 i + k in bits 2k and 2k + 1 of byte i.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q2_0/q2_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    constexpr Codes source{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    constexpr Codes first{3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0}, second{0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0},
        third{0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0}, fourth{0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3};
    for (; count > 0; count -= 64, blocks += 18, values += 64) {
        const float d = load_f16(blocks);
        const Codes packed = load_codes(blocks + 2);
        for (int part = 0; part < 4; ++part) {
            // Each byte four times, then of each its own pair of bits.
            const Codes four = look_up(packed, source + static_cast<std::uint8_t>(4 * part));
            const Codes lower = (four & first) | (take_bits(four, 2, 3) & second);
            const Codes upper = (take_bits(four, 4, 3) & third) | (take_bits(four, 6, 3) & fourth);
            scale_sixteen((SignedCodes)((lower | upper) - 1), d, values + 16 * part);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 64, blocks += 18) {
        std::int8_t numbers[64];
        store_u16(blocks, fastest(search_scale)({-1, 2}, values + i, importance ? importance + i : nullptr, 64, numbers));
        for (int k = 0; k < 16; ++k) {
            int byte = 0;
            for (int t = 0; t < 4; ++t) byte |= (numbers[4 * k + t] + 1) << 2 * t;
            bytes_of(blocks)[2 + k] = static_cast<std::uint8_t>(byte);
        }
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    for (int i = 0; i < 64; ++i) out.codes[i] = bytes_of(block)[2 + i / 4] >> 2 * (i % 4) & 3;
}

static constexpr IntegerForm integers{.bits = 2, .zero = 1, .group = 64, .split = &split};

extern const Format q2_0 = {
    .name = "q2_0",
    .doc = "2 bits, the numbers -1 to 2: blocks of 64 with one f16 scale",
    .values_per_block = 64,
    .bytes_per_block = 18,
    .gguf_type = 42,
    .gguf_file_type = 41,
    .facts = {.gaussian_relative_rmse = 0.356},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
