// iq3_xxs: super-blocks of 256 = 8 sub-blocks of 32 values, x = +-(d / 4) * (2 s + 1) * g with d in f16, s in 0..15 per sub-block
// and four magnitudes g of 4 12 20 28 36 44 52 62 from a code book of 256 patterns; eight values have an even number of negative
// ones. 3.06 bits a value.
//
// Layout of a super-block (98 bytes): d; 64 indices, a byte each; per sub-block 32 bits, of which the lowest 28 are four fields of
// seven signs and the upper four s.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq3_xxs.h"
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq3_xxs/iq3_xxs.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint32_t>(iq3_xxs_book, iq3_xxs_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 98) {
        const float d = load_f16(blocks) * 0.25f;
        const std::uint8_t* at = bytes_of(blocks + 2);
        for (int j = 0; j < 8; ++j, at += 8, values += 32) {
            const std::uint32_t fields = load_u32(blocks + 66 + 4 * j);
            const float scale = d * static_cast<float>(2 * (fields >> 28) + 1);
            std::uint8_t signs[4];
            store_u32(signs, with_eighth_signs(sevens_to_bytes(fields)));
            for (int half = 0; half < 2; ++half) {
                const std::uint8_t* const four = at + 4 * half;
                const Codes magnitudes = join_patterns(patterns[four[0]], patterns[four[1]], patterns[four[2]], patterns[four[3]]);
                scale_sixteen(with_signs(magnitudes, signs + 2 * half), scale, values + 16 * half);
            }
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq3_xxs_book, .entries = 256, .group = 4, .levels = iq3_xxs_levels, .signs = BookSigns::even, .sub_block = 32,
                            .scales = 16, .unit = 0.25f, .least_level = 8, .most_level = 60};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 98) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        store_u16(blocks, codes.d);
        for (int g = 0; g < 64; ++g) bytes_of(blocks)[2 + g] = static_cast<std::uint8_t>(codes.entries[g]);
        for (int j = 0; j < 8; ++j)
            store_u32(blocks + 66 + 4 * j, bytes_to_sevens(load_u32(codes.signs + 4 * j)) | static_cast<std::uint32_t>(codes.scales[j]) << 28);
    }
}

extern const Format iq3_xxs = {
    .name = "iq3_xxs",
    .doc = "3.06 bits: super-blocks of 256 with 4-bit scales per 32, patterns of four from a code book of 256, signs of seven in eight",
    .values_per_block = 256,
    .bytes_per_block = 98,
    .gguf_type = 18,
    .gguf_file_type = 23,
    .facts = {.gaussian_relative_rmse = 0.176},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
