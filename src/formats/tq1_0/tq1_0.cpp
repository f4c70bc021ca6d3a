// tq1_0: blocks of 256 ternary values, x = d * (q - 1) with d in f16 and q in 0..2, five to a byte. For models trained ternary.
//
// Five digits make a number n = 81 q0 + 27 q1 + 9 q2 + 3 q3 + q4 below 243, stored as the byte b = ceil(256 n / 243). Then b /
// 256 is a fraction whose ternary expansion starts with the digits: digit k is floor(3 frac(3^k b / 256)), that is a
// multiplication modulo 256 and the carry of a product by 3, which vectorizes as divisions would not.
//
// Layout of a block (54 bytes): 32 bytes holding values 32 k + i as digit k of byte i; 16 bytes holding values
// 160 + 16 k + i; 4 bytes of four digits each (the fifth is zero) holding values 240 + 4 k + i; d.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/tq1_0/tq1_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

/// floor(3 f / 256) - 1 for each fraction f / 256.
[[gnu::always_inline]] inline SignedCodes leading_digit(Codes fraction) {
    return (SignedCodes)(Codes{} - (Codes)(fraction > 85) - (Codes)(fraction > 170) - 1);
}

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 54, values += 256) {
        const float d = load_f16(blocks + 52);
        for (int part = 0; part < 3; ++part) {
            Codes fraction = load_codes(blocks + 16 * part);
            float* const first = part < 2 ? values + 16 * part : values + 160;
            for (int k = 0; k < 5; ++k) {
                scale_sixteen(leading_digit(fraction), d, first + (part < 2 ? 32 : 16) * k);
                fraction = fraction + fraction + fraction;
            }
        }
        // Four bytes times 1, 3, 9, 27: their first four digits in sixteen lanes.
        constexpr Codes powers{1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27},
            which{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
        Codes last{};
        std::memcpy(&last, blocks + 48, 4);
        scale_sixteen(leading_digit(look_up(last, which) * powers), d, values + 240);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

/// The inverse of split_digits.
static void join_digits(const std::uint8_t* codes, int n, int digits, std::uint8_t* bytes) {
    for (int i = 0; i < n; ++i) {
        int number = 0;
        for (int k = 0; k < 5; ++k) number = 3 * number + (k < digits ? codes[n * k + i] : 0);
        bytes[i] = static_cast<std::uint8_t>((256 * number + 242) / 243);
    }
}

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    join_digits(codes, 32, 5, bytes_of(block));
    join_digits(codes + 160, 16, 5, bytes_of(block) + 32);
    join_digits(codes + 240, 4, 4, bytes_of(block) + 48);
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 256, blocks += 54) {
        std::int8_t numbers[256];
        store_u16(blocks + 52, search_ternary(values + i, importance ? importance + i : nullptr, numbers));
        std::uint8_t codes[256];
        for (int k = 0; k < 256; ++k) codes[k] = static_cast<std::uint8_t>(numbers[k] + 1);
        join(codes, blocks);
    }
}

// Digits take two bits each in a panel: 22 % more bytes than five to a byte, for an unpacking six times shorter. Taking
// digits apart would cost more time than the bytes saved do.
static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block + 52);
    const auto digits = [](const std::uint8_t* bytes, int n, int count, std::uint8_t* codes) {
        for (int i = 0; i < n; ++i) {
            unsigned fraction = bytes[i];
            for (int k = 0; k < count; ++k, fraction = fraction * 3 & 255) codes[n * k + i] = static_cast<std::uint8_t>(fraction * 3 >> 8);
        }
    };
    digits(bytes_of(block), 32, 5, out.codes);
    digits(bytes_of(block) + 32, 16, 5, out.codes + 160);
    digits(bytes_of(block) + 48, 4, 4, out.codes + 240);
}

static constexpr IntegerForm integers{.bits = 2, .zero = 1, .levels = 3, .group = 256, .split = &split, .join = &join, .scale_at = 52};

extern const Format tq1_0 = {
    .name = "tq1_0",
    .doc = "ternary, five values to a byte: blocks of 256 with one f16 scale",
    .values_per_block = 256,
    .bytes_per_block = 54,
    .gguf_type = 34,
    .gguf_file_type = 36,
    .facts = {.gaussian_relative_rmse = 0.435},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
