// iq3_s: super-blocks of 256 = 8 sub-blocks of 32 values, x = +-d * (2 s + 1) * g with d in f16, s in 0..15 per sub-block, four
// odd magnitudes g of 1 to 15 from a code book of 512 patterns, and a sign of each value. 3.44 bits a value.
//
// Layout of a super-block (110 bytes): d; the low 8 bits of 64 indices; 8 bytes with the ninth bits of eight indices each, the first
// lowest; 32 bytes of signs, bit i for value i of eight; 4 bytes with two s each, the first in the low nibble.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq3_s.h"
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq3_s/iq3_s.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint32_t>(iq3_s_book, iq3_s_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 110) {
        const float d = load_f16(blocks);
        const std::uint8_t *low = bytes_of(blocks + 2), *const ninth = low + 64, *const signs = low + 72, *const scales = low + 104;
        for (int j = 0; j < 16; ++j, low += 4, values += 16) {
            const unsigned bits = static_cast<unsigned>(ninth[j / 2] >> 4 * (j % 2)) << 8, s = scales[j / 4] >> 4 * (j / 2 % 2) & 15;
            const Codes magnitudes = join_patterns(patterns[low[0] | (bits & 256)], patterns[low[1] | (bits >> 1 & 256)],
                                                   patterns[low[2] | (bits >> 2 & 256)], patterns[low[3] | (bits >> 3 & 256)]);
            scale_sixteen(with_signs(magnitudes, signs + 2 * j), d * static_cast<float>(2 * s + 1), values);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq3_s_book, .entries = 512, .group = 4, .levels = iq3_s_levels, .signs = BookSigns::free, .sub_block = 32,
                            .scales = 16, .unit = 1, .least_level = 2, .most_level = 15};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 110) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        store_u16(blocks, codes.d);
        std::uint8_t *const low = bytes_of(blocks + 2), *const ninth = low + 64, *const scales = low + 104;
        std::memset(ninth, 0, 8);
        for (int g = 0; g < 64; ++g) {
            low[g] = static_cast<std::uint8_t>(codes.entries[g]);
            ninth[g / 8] = static_cast<std::uint8_t>(ninth[g / 8] | codes.entries[g] >> 8 << g % 8);
        }
        std::memcpy(low + 72, codes.signs, 32);
        for (int j = 0; j < 4; ++j) scales[j] = static_cast<std::uint8_t>(codes.scales[2 * j] | codes.scales[2 * j + 1] << 4);
    }
}

// Every value is one of sixteen integers times the scale of its sub-block: a panel needs 4.31 bits a value, a quarter more than rows.
static constexpr std::int8_t signed_levels[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    const std::uint8_t *const low = bytes_of(block + 2), *const ninth = low + 64, *const signs = low + 72, *const scales = low + 104;
    out.scale = load_u16(block);
    for (int j = 0; j < 8; ++j) out.group_scales[j] = static_cast<std::uint8_t>(2 * (scales[j / 2] >> 4 * (j % 2) & 15) + 1);
    for (int i = 0; i < 256; ++i) {
        const int g = i / 4, word = iq3_s_book[low[g] | (ninth[g / 8] >> g % 8 & 1) << 8];
        out.codes[i] = static_cast<std::uint8_t>((word >> 3 * (i % 4) & 7) | (signs[i / 8] >> i % 8 & 1) << 3);
    }
}

static constexpr IntegerForm integers{.scales = ScaleKind::super, .largest_scale = 31, .table = signed_levels, .split = &split};

extern const Format iq3_s = {
    .name = "iq3_s",
    .doc = "3.44 bits: super-blocks of 256 with 4-bit scales per 32, patterns of four from a code book of 512, a sign of each value",
    .values_per_block = 256,
    .bytes_per_block = 110,
    .gguf_type = 21,
    .gguf_file_type = 26,
    .facts = {.gaussian_relative_rmse = 0.129},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
