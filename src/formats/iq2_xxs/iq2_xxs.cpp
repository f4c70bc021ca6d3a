// iq2_xxs: super-blocks of 256 = 8 sub-blocks of 32 values, x = +-(d / 8) * (2 s + 1) * g with d in f16, s in 0..15 per sub-block
// and eight magnitudes g of 8, 25 and 43 from a code book of 256 patterns; eight values have an even number of negative ones. 2.06
// bits a value.
//
// Layout of a super-block (66 bytes): d; per sub-block four indices, a byte each, and 32 bits, of which the lowest 28 are four
// fields of seven signs and the upper four s.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq2_xxs.h"
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq2_xxs/iq2_xxs.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint64_t>(iq2_xxs_book, iq2_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 66) {
        const float d = load_f16(blocks) * 0.125f;
        const std::uint8_t* at = bytes_of(blocks + 2);
        for (int j = 0; j < 8; ++j, at += 8, values += 32) {
            const std::uint32_t fields = load_u32(at + 4);
            const float scale = d * static_cast<float>(2 * (fields >> 28) + 1);
            std::uint8_t signs[4];
            store_u32(signs, with_eighth_signs(sevens_to_bytes(fields)));
            scale_sixteen(with_signs(join_patterns(patterns[at[0]], patterns[at[1]]), signs), scale, values);
            scale_sixteen(with_signs(join_patterns(patterns[at[2]], patterns[at[3]]), signs + 2), scale, values + 16);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq2_xxs_book, .entries = 256, .group = 8, .levels = iq2_levels, .signs = BookSigns::even, .sub_block = 32,
                            .scales = 16, .unit = 0.125f, .least_level = 8, .most_level = 48};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 66) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        store_u16(blocks, codes.d);
        std::uint8_t* at = bytes_of(blocks + 2);
        for (int j = 0; j < 8; ++j, at += 8) {
            for (int g = 0; g < 4; ++g) at[g] = static_cast<std::uint8_t>(codes.entries[4 * j + g]);
            store_u32(at + 4, bytes_to_sevens(load_u32(codes.signs + 4 * j)) | static_cast<std::uint32_t>(codes.scales[j]) << 28);
        }
    }
}

extern const Format iq2_xxs = {
    .name = "iq2_xxs",
    .doc = "2.06 bits: super-blocks of 256 with 4-bit scales per 32, patterns of eight from a code book of 256, signs of seven in eight",
    .values_per_block = 256,
    .bytes_per_block = 66,
    .gguf_type = 16,
    .gguf_file_type = 19,
    .facts = {.gaussian_relative_rmse = 0.328},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
