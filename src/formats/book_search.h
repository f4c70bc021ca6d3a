// Encoding with a code book: the part that the iq1, iq2 and iq3 formats share.
//
// Such a format stores a super-block of 256 values as
//     x_i = d * unit * (2 s + 1) * g_i
// with d in f16, a small integer s per sub-block, and groups of four or eight g_i, whose magnitudes are an entry of a code book
// and whose signs stand beside it; or g_i is the entry's number plus a shift of one sign (iq1).
//
// For one group and one scale t the entry wanted is the one with the least
//     sum of w_i (x_i - t g_i)^2 = const + t (t Q - 2 P),   P = sum of w_i x_i g_i,   Q = sum of w_i g_i^2.
// P and Q do not depend on t and are sums of table look-ups. So all entries are tried, for sixteen scales at once, one per
// vector lane. Nothing is approximated by neighbour lists, and there is nothing to prepare or keep between calls.
//
// The entries that won at sixteen scales, geometrically spaced around the sub-block's own, are a shortlist: the others lie above
// the lower envelope of the lines t Q - 2 P between those scales, or hardly below it. From then on only these are looked at; trying
// all entries again with the final scales would lower the error by 0.02 % (iq2, iq1) to 0.1 % (iq3) for twice the time. On the
// shortlist d is searched as scale_search.h tells: sixteen proposals, each with the best s per sub-block, least squares, then the
// f16 neighbours.
//
// Where only even counts of negative signs can be stored and the count is odd, one sign is flipped: with the flip at i the
// entry's P falls by 2 w_i |x_i| g_i, least for some i that does not depend on t, so the best i is found with the entry. Where eight
// signs belong to two groups, the flip goes to the group with the least w_i |x_i|.
#pragma once
#include <cstdint>

#include "cpu/isa.h"

namespace tailor::formats {

enum class BookSigns {
    free,   ///< a sign per value
    even,   ///< eight values have an even number of negative ones
    none,   ///< entries are signed
};

enum class BookShift { none, per_sub_block, per_group };

/// What a format is, for the search. An entry is a word of eight levels of two bits (four level values) or four of three bits.
struct BookForm {
    const std::uint16_t* words;
    int entries;
    int group;                 ///< values per entry: 8 or 4
    const std::int8_t* levels;  ///< 4 of them for groups of 8, 8 for groups of 4
    BookSigns signs;
    BookShift shift = BookShift::none;  ///< +1 or -1 is added to every level
    int sub_block;             ///< values that share s: 16 or 32
    int scales;                ///< s is 0..scales - 1
    float unit;
    float least_level, most_level;  ///< between which the root mean square of a group's magnitudes usually is
};

/// A super-block taken apart; unused fields are zero.
struct BookCodes {
    std::uint16_t d;           ///< f16, not negative
    std::uint8_t scales[16];   ///< s of each sub-block
    std::uint16_t entries[64];  ///< of each group
    std::uint8_t signs[32];    ///< of eight values each, the first lowest; set: negative
    std::uint8_t shifts[32];   ///< of each group: 1 if -1 is added
};

/// The codes of 256 values. `importance` holds 256 weights or is null. All-zero blocks decode to +0.
using SearchBook = void (*)(const BookForm& form, const float* values, const float* importance, BookCodes& codes) noexcept;
extern const cpu::PerIsa<SearchBook> search_book;

}  // namespace tailor::formats
