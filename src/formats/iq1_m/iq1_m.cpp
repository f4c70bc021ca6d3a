// iq1_m: super-blocks of 256 = 16 sub-blocks of 16 values, x = (d / 8) * (2 s + 1) * (8 g + e) with d in f16, s in 0..7 per
// sub-block, eight ternary numbers g from the code book of 2,048 patterns that iq1_s has too, and e = +-1 per eight values. 1.75 bits
// a value.
//
// Layout of a super-block (56 bytes): the low 8 bits of 32 indices; 32 nibbles, the low one of a byte first: the upper 3 bits of the
// index and, set where e = -1, the highest; 4 words of 16 bits, each with four s from the lowest bits up, and on top four bits of d, the
// lowest four in the first word.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq1.h"
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq1_m/iq1_m.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint64_t>(iq1_book, iq1_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 56) {
        const std::uint8_t *const low = bytes_of(blocks), *const upper = low + 32, *const words = low + 48;
        unsigned half = 0;
        for (int k = 0; k < 4; ++k) half |= static_cast<unsigned>(words[2 * k + 1] >> 4) << 4 * k;
        const float d = f16_to_f32(static_cast<std::uint16_t>(half)) * 0.125f;
        for (int j = 0; j < 16; ++j, values += 16) {
            const unsigned s = load_u16(words + j / 4 * 2) >> 3 * (j % 4) & 7, pair = upper[j];
            const std::uint64_t ones = 0x0101010101010101u, first_shift = pair & 8 ? 255 * ones : ones, second_shift = pair & 128 ? 255 * ones : ones;
            const Codes ternary = join_patterns(patterns[low[2 * j] | (pair & 7) << 8], patterns[low[2 * j + 1] | (pair >> 4 & 7) << 8]);
            scale_sixteen((SignedCodes)(ternary + join_patterns(first_shift, second_shift)), d * static_cast<float>(2 * s + 1), values);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq1_book, .entries = 2048, .group = 8, .levels = iq1_levels, .signs = BookSigns::none,
                            .shift = BookShift::per_group, .sub_block = 16, .scales = 8, .unit = 0.125f, .least_level = 2, .most_level = 9};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 56) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        std::uint8_t *const low = bytes_of(blocks), *const upper = low + 32;
        for (int g = 0; g < 32; ++g) low[g] = static_cast<std::uint8_t>(codes.entries[g]);
        for (int j = 0; j < 16; ++j) {
            const auto nibble = [&](int g) { return codes.entries[g] >> 8 | codes.shifts[g] << 3; };
            upper[j] = static_cast<std::uint8_t>(nibble(2 * j) | nibble(2 * j + 1) << 4);
        }
        for (int k = 0; k < 4; ++k) {
            int word = (codes.d >> 4 * k & 15) << 12;
            for (int j = 0; j < 4; ++j) word |= codes.scales[4 * k + j] << 3 * j;
            store_u16(low + 48 + 2 * k, static_cast<std::uint16_t>(word));
        }
    }
}

extern const Format iq1_m = {
    .name = "iq1_m",
    .doc = "1.75 bits: super-blocks of 256 with 3-bit scales per 16, ternary patterns of eight from a code book of 2,048 and a shift of each",
    .values_per_block = 256,
    .bytes_per_block = 56,
    .gguf_type = 29,
    .gguf_file_type = 31,
    .facts = {.gaussian_relative_rmse = 0.413},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
