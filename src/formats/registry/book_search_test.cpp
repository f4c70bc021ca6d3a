// The search behind the formats with code books: the same bits at every instruction-set level; entries, signs and scales as good as
// the best that brute force in double finds for the same d; and no other d much better.
#include "formats/book_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "formats/code_books/code_book.h"
#include "formats/code_books/iq1.h"
#include "formats/code_books/iq2_s.h"
#include "formats/code_books/iq2_xxs.h"
#include "formats/code_books/iq3_xxs.h"
#include "formats/half.h"
#include "formats/test_rows.h"

namespace tailor::formats {
namespace {

using test::random_row, test::Shape;

constexpr BookForm of_eight(const std::uint16_t* words, int entries, BookSigns signs, int sub_block) {
    return {.words = words, .entries = entries, .group = 8, .levels = iq2_levels, .signs = signs, .sub_block = sub_block, .scales = 16,
            .unit = 0.125f, .least_level = 8, .most_level = 48};
}
constexpr BookForm of_four(const std::uint16_t* words, int entries, BookSigns signs) {
    return {.words = words, .entries = entries, .group = 4, .levels = iq3_xxs_levels, .signs = signs, .sub_block = 32, .scales = 16,
            .unit = 0.25f, .least_level = 8, .most_level = 60};
}
constexpr BookForm ternary(BookShift shift, int sub_block) {
    return {.words = iq1_book, .entries = 2048, .group = 8, .levels = iq1_levels, .signs = BookSigns::none, .shift = shift, .sub_block = sub_block,
            .scales = 8, .unit = 0.125f, .least_level = 2, .most_level = 9};
}
constexpr BookForm forms[] = {of_eight(iq2_xxs_book, 256, BookSigns::even, 32), of_four(iq3_xxs_book, 256, BookSigns::even),
                              of_eight(iq2_s_book, 1024, BookSigns::free, 16), ternary(BookShift::per_sub_block, 32), ternary(BookShift::per_group, 16)};
constexpr BookForm even_forms[] = {forms[0], forms[1]};

struct Row {
    std::vector<float> x, w;
};

Row random_block(Shape shape, std::uint64_t seed) { return {random_row(shape, 256, seed), test::random_importance(256, seed + 1)}; }

double level_of(const BookForm& form, int entry, int i, int shift) {
    const int bits = form.group == 8 ? 2 : 3;
    return form.levels[form.words[entry] >> bits * i & ((1 << bits) - 1)] + (form.shift == BookShift::none ? 0 : shift == 0 ? 1 : -1);
}

/// The error of a group with one entry and the best signs of which an even or odd number is negative, or any (-1).
double group_error(const BookForm& form, const float* x, const float* w, double scale, int entry, int shift, int parity) {
    double error = 0, flip = 1e300;
    int negative = 0;
    for (int i = 0; i < form.group; ++i) {
        const double level = level_of(form, entry, i, shift) * scale, value = form.signs == BookSigns::none ? x[i] : std::fabs(x[i]);
        error += w[i] * (value - level) * (value - level);
        flip = std::min(flip, 4 * w[i] * value * level);
        negative += x[i] < 0;
    }
    return error + (parity >= 0 && negative % 2 != parity ? flip : 0);
}

double best_group_error(const BookForm& form, const float* x, const float* w, double scale, int shift, int parity) {
    double best = 1e300;
    for (int entry = 0; entry < form.entries; ++entry) best = std::min(best, group_error(form, x, w, scale, entry, shift, parity));
    return best;
}

int parity_of(const BookForm& form, const BookCodes& codes, int group) {
    if (form.signs != BookSigns::even) return -1;
    const int first = group * form.group;
    return std::popcount(static_cast<unsigned>(codes.signs[first / 8] >> first % 8 & ((1 << form.group) - 1))) % 2;
}

/// The least error of a sub-block with one s; parities of groups as in `codes`.
double best_sub_block_error(const BookForm& form, const Row& row, const BookCodes& codes, double d, int sub_block, int s) {
    const double scale = d * form.unit * (2 * s + 1);
    double apart[2] = {0, 0}, free = 0;
    for (int g = sub_block * form.sub_block / form.group; g < (sub_block + 1) * form.sub_block / form.group; ++g) {
        double best[2] = {1e300, 1e300};
        const float *const x = row.x.data() + g * form.group, *const w = row.w.data() + g * form.group;
        for (int shift = 0; shift < (form.shift == BookShift::none ? 1 : 2); ++shift)
            apart[shift] += best[shift] = best_group_error(form, x, w, scale, shift, parity_of(form, codes, g));
        free += std::min(best[0], best[1]);
    }
    return form.shift == BookShift::per_sub_block ? std::min(apart[0], apart[1]) : free;
}

/// The value that codes stand for.
double decoded(const BookForm& form, const BookCodes& codes, double d, int i) {
    const int g = i / form.group;
    const double level = level_of(form, codes.entries[g], i % form.group, form.shift == BookShift::none ? 0 : codes.shifts[g]);
    return d * form.unit * (2 * codes.scales[i / form.sub_block] + 1) * (codes.signs[i / 8] >> i % 8 & 1 ? -level : level);
}

BookCodes search(const BookForm& form, const Row& row, cpu::Isa level = cpu::highest_isa()) {
    BookCodes codes;
    std::memset(&codes, 0xFF, sizeof codes);
    search_book.at(level)(form, row.x.data(), row.w.data(), codes);
    return codes;
}

TEST(BookSearch, every_level_finds_the_same_bits) {
    for (const BookForm& form : forms)
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
            const Row row = random_block(test::shapes[seed], 100 + seed);
            const BookCodes expected = search(form, row, cpu::Isa::base);
            for (const cpu::Isa level : cpu::available_isas()) {
                const BookCodes codes = search(form, row, level);
                EXPECT_EQ(0, std::memcmp(&expected, &codes, sizeof codes)) << cpu::name(level) << ", " << form.entries << " entries, seed " << seed;
            }
        }
}

TEST(BookSearch, nothing_is_better_for_the_same_d) {
    for (const BookForm& form : forms) {
        const Row row = random_block(Shape::laplace, 200);
        const BookCodes codes = search(form, row);
        const double d = f16_to_f32(codes.d);
        ASSERT_GT(d, 0);
        for (int j = 0; j < 256 / form.sub_block; ++j) {
            double error = 0, best = 1e300;
            for (int i = j * form.sub_block; i < (j + 1) * form.sub_block; ++i) {
                const double miss = static_cast<double>(row.x[static_cast<std::size_t>(i)]) - decoded(form, codes, d, i);
                error += row.w[static_cast<std::size_t>(i)] * miss * miss;
            }
            for (int s = 0; s < form.scales; ++s) best = std::min(best, best_sub_block_error(form, row, codes, d, j, s));
            // d moves by least squares after the codes are chosen; and weights below 2^-20 of the largest count as that.
            EXPECT_LE(error, 1.02 * best + 1e-6) << form.entries << " entries, sub-block " << j;
        }
    }
}

TEST(BookSearch, no_other_d_is_much_better) {
    for (const BookForm& form : even_forms) {
        const Row row = random_block(Shape::gaussian, 300);
        const BookCodes codes = search(form, row);
        const double d = f16_to_f32(codes.d);
        double at_d = 0;
        for (double factor : {1.0, 0.7, 0.8, 0.9, 0.97, 1.03, 1.1, 1.2, 1.4}) {
            double error = 0;
            for (int j = 0; j < 256 / form.sub_block; ++j) {
                double best = 1e300;
                for (int s = 0; s < form.scales; ++s) best = std::min(best, best_sub_block_error(form, row, codes, factor * d, j, s));
                error += best;
            }
            if (factor == 1.0) at_d = error;
            EXPECT_LE(at_d, 1.005 * error) << form.entries << " entries, d times " << factor;
        }
    }
}

TEST(BookSearch, negative_signs_are_even_where_they_must_be) {
    for (const BookForm& form : even_forms)
        for (std::uint64_t seed = 0; seed < 4; ++seed)
            for (const std::uint8_t signs : search(form, random_block(test::shapes[seed], 400 + seed)).signs) EXPECT_EQ(std::popcount(signs) % 2, 0);
}

TEST(BookSearch, zeros_have_no_negative_number) {
    for (const BookForm& form : forms) {
        const BookCodes codes = search(form, {std::vector<float>(256, -0.0f), std::vector<float>(256, 1.0f)});
        EXPECT_EQ(codes.d, 0);
        for (int i = 0; i < 256; ++i) ASSERT_GT(decoded(form, codes, 1, i), 0) << form.entries << " entries, value " << i;
    }
}

TEST(CodeBook, eighth_signs_make_the_count_even) {
    for (std::uint32_t seven = 0; seven < 128; ++seven) {
        const std::uint32_t fields = seven | (127 - seven) << 7 | (seven * 37 % 128) << 14 | (seven * 101 % 128) << 21;
        const std::uint32_t bytes = with_eighth_signs(sevens_to_bytes(fields));
        for (int k = 0; k < 4; ++k) EXPECT_EQ(std::popcount(bytes >> 8 * k & 255) % 2, 0);
        EXPECT_EQ(bytes & 127, seven);
        EXPECT_EQ(bytes_to_sevens(bytes), fields);
    }
}

}  // namespace
}  // namespace tailor::formats
