// iq2_xs: super-blocks of 256 = 16 sub-blocks of 16 values, x = +-(d / 8) * (2 s + 1) * g with d in f16, s in 0..15 per sub-block
// and eight magnitudes g of 8, 25 and 43 from a code book of 512 patterns; eight values have an even number of negative ones. 2.31
// bits a value.
//
// Layout of a super-block (74 bytes): d; 32 words of 16 bits, the index in the lowest nine and seven signs above; 8 bytes with two s
// each, the first in the low nibble.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq2_xs.h"
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq2_xs/iq2_xs.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint64_t>(iq2_xs_book, iq2_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 74) {
        const float d = load_f16(blocks) * 0.125f;
        for (int j = 0; j < 8; ++j, values += 32) {
            const std::uint32_t first = load_u32(blocks + 2 + 8 * j), second = load_u32(blocks + 6 + 8 * j), pair = bytes_of(blocks)[66 + j];
            std::uint8_t signs[4];
            const std::uint32_t upper = (second << 7 & 0x7F0000u) | (second >> 1 & 0x7F000000u);
            store_u32(signs, with_eighth_signs((first >> 9 & 0x7Fu) | (first >> 17 & 0x7F00u) | upper));
            const Codes magnitudes = join_patterns(patterns[first & 511], patterns[first >> 16 & 511]);
            const Codes next_magnitudes = join_patterns(patterns[second & 511], patterns[second >> 16 & 511]);
            scale_sixteen(with_signs(magnitudes, signs), d * static_cast<float>(2 * (pair & 15) + 1), values);
            scale_sixteen(with_signs(next_magnitudes, signs + 2), d * static_cast<float>(2 * (pair >> 4) + 1), values + 16);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq2_xs_book, .entries = 512, .group = 8, .levels = iq2_levels, .signs = BookSigns::even, .sub_block = 16,
                            .scales = 16, .unit = 0.125f, .least_level = 8, .most_level = 48};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 74) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        store_u16(blocks, codes.d);
        for (int g = 0; g < 32; ++g) store_u16(blocks + 2 + 2 * g, static_cast<std::uint16_t>(codes.entries[g] | (codes.signs[g] & 127) << 9));
        for (int j = 0; j < 8; ++j) bytes_of(blocks)[66 + j] = static_cast<std::uint8_t>(codes.scales[2 * j] | codes.scales[2 * j + 1] << 4);
    }
}

extern const Format iq2_xs = {
    .name = "iq2_xs",
    .doc = "2.31 bits: super-blocks of 256 with 4-bit scales per 16, patterns of eight from a code book of 512, signs of seven in eight",
    .values_per_block = 256,
    .bytes_per_block = 74,
    .gguf_type = 17,
    .gguf_file_type = 20,
    .facts = {.gaussian_relative_rmse = 0.285},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
