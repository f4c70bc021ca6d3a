// iq1_s: super-blocks of 256 = 8 sub-blocks of 32 values, x = (d / 8) * (2 s + 1) * (8 g + e) with d in f16, s in 0..7 and e = +-1
// per sub-block, and eight ternary numbers g from a code book of 2,048 patterns. 1.56 bits a value.
//
// Layout of a super-block (50 bytes): d; the low 8 bits of 32 indices; per sub-block 16 bits: the upper 3 bits of four indices, s in the
// next 3, and the highest set where e = -1.
#include "formats/book_search.h"
#include "formats/code_books/code_book.h"
#include "formats/code_books/iq1.h"
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq1_s/iq1_s.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static constexpr auto patterns = spread<std::uint64_t>(iq1_book, iq1_levels);

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 50) {
        const float d = load_f16(blocks) * 0.125f;
        const std::uint8_t* low = bytes_of(blocks + 2);
        for (int j = 0; j < 8; ++j, low += 4, values += 32) {
            const unsigned word = load_u16(blocks + 34 + 2 * j);
            const float scale = d * static_cast<float>(2 * (word >> 12 & 7) + 1);
            const auto shift = static_cast<std::uint8_t>(1 - 2 * (word >> 15));
            const Codes first = join_patterns(patterns[low[0] | (word & 7) << 8], patterns[low[1] | (word >> 3 & 7) << 8]);
            const Codes second = join_patterns(patterns[low[2] | (word >> 6 & 7) << 8], patterns[low[3] | (word >> 9 & 7) << 8]);
            scale_sixteen((SignedCodes)(first + shift), scale, values);
            scale_sixteen((SignedCodes)(second + shift), scale, values + 16);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr BookForm form{.words = iq1_book, .entries = 2048, .group = 8, .levels = iq1_levels, .signs = BookSigns::none,
                            .shift = BookShift::per_sub_block, .sub_block = 32, .scales = 8, .unit = 0.125f, .least_level = 2, .most_level = 9};
    for (std::int64_t i = 0; i < count; i += 256, blocks += 50) {
        BookCodes codes;
        fastest(search_book)(form, values + i, importance ? importance + i : nullptr, codes);
        store_u16(blocks, codes.d);
        for (int g = 0; g < 32; ++g) bytes_of(blocks)[2 + g] = static_cast<std::uint8_t>(codes.entries[g]);
        for (int j = 0; j < 8; ++j) {
            int word = codes.scales[j] << 12 | codes.shifts[4 * j] << 15;
            for (int g = 0; g < 4; ++g) word |= codes.entries[4 * j + g] >> 8 << 3 * g;
            store_u16(blocks + 34 + 2 * j, static_cast<std::uint16_t>(word));
        }
    }
}

extern const Format iq1_s = {
    .name = "iq1_s",
    .doc = "1.56 bits: super-blocks of 256 with 3-bit scales and a shift per 32, ternary patterns of eight from a code book of 2,048",
    .values_per_block = 256,
    .bytes_per_block = 50,
    .gguf_type = 19,
    .gguf_file_type = 24,
    .facts = {.gaussian_relative_rmse = 0.444},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
