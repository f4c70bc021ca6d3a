// iq2_s: super-blocks of 256 = 16 sub-blocks of 16 values, x = +-(d / 8) * (2 s + 1) * g with d in f16, s in 0..15 per sub-block,
// eight magnitudes g of 8, 25 and 43 from a code book of 1,024 patterns, and a sign of each value. 2.56 bits a value.
//
// Layout of a super-block (82 bytes): d; the low 8 bits of 32 indices; 32 bytes of signs, bit i for value i of eight; 8 bytes with the
// upper 2 bits of four indices each, the first lowest; 8 bytes with two s each, the first in the low nibble.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq2_s.h"
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq2_s/iq2_s.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint64_t>(iq2_s_book, iq2_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 82) {
        const float d = load_f16(blocks) * 0.125f;
        const std::uint8_t *const low = bytes_of(blocks + 2), *const signs = low + 32, *const upper = low + 64, *const scales = low + 72;
        for (int j = 0; j < 16; ++j, values += 16) {
            const unsigned two = upper[j / 2] >> 4 * (j % 2), s = scales[j / 2] >> 4 * (j % 2) & 15;
            const Codes magnitudes = join_patterns(patterns[low[2 * j] | (two & 3) << 8], patterns[low[2 * j + 1] | (two >> 2 & 3) << 8]);
            scale_sixteen(with_signs(magnitudes, signs + 2 * j), d * static_cast<float>(2 * s + 1), values);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq2_s_book, .entries = 1024, .group = 8, .levels = iq2_levels, .signs = BookSigns::free, .sub_block = 16,
                            .scales = 16, .unit = 0.125f, .least_level = 8, .most_level = 48};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 82) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        store_u16(blocks, codes.d);
        std::uint8_t *const low = bytes_of(blocks + 2), *const upper = low + 64, *const scales = low + 72;
        std::memset(upper, 0, 8);
        for (int g = 0; g < 32; ++g) {
            low[g] = static_cast<std::uint8_t>(codes.entries[g]);
            upper[g / 4] = static_cast<std::uint8_t>(upper[g / 4] | codes.entries[g] >> 8 << 2 * (g % 4));
        }
        std::memcpy(low + 32, codes.signs, 32);
        for (int j = 0; j < 8; ++j) scales[j] = static_cast<std::uint8_t>(codes.scales[2 * j] | codes.scales[2 * j + 1] << 4);
    }
}

extern const Format iq2_s = {
    .name = "iq2_s",
    .doc = "2.56 bits: super-blocks of 256 with 4-bit scales per 16, patterns of eight from a code book of 1,024, a sign of each value",
    .values_per_block = 256,
    .bytes_per_block = 82,
    .gguf_type = 22,
    .gguf_file_type = 28,
    .facts = {.gaussian_relative_rmse = 0.238},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
