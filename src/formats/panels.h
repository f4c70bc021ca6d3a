// Panels: weights rearranged once so that kernels multiply sixteen rows at a time.
//
// A file stores a weight row by row, each block with its scales beside its codes, which suits disks. A kernel that
// multiplies wants the same position of many rows side by side: then one instruction serves sixteen rows, sums need no
// reduction across lanes, and codes become bytes by one shift and one mask whatever their width. A panel is sixteen
// consecutive rows in that order; missing rows of the last panel are zero. The layout is the same for every
// instruction-set level, because narrower vectors take a panel in two or four parts.
//
// Formats whose values are integers times a scale state their IntegerForm. A panel of such a format is a row of units of 256
// columns (the last may be shorter), so that a kernel reads one stream from start to end; two streams, scales apart from
// codes, cost a third of the speed of memory. A unit is
//     scales   per block: f16 scale of each row, f16 minimum of each row (if any); then per group: a byte of each row, and
//              a byte of the minimum of each row (if any), as ScaleKind says
//     codes    per 32 values: a plane of four bits (256 bytes), of two (128) and of one (64), as many as the width needs,
//              or 512 bytes. In each, row r owns the 32-bit words r, 16 + r, ...: byte j of word w holds values
//              8 w + j and 8 w + 4 + j (nibbles, low first), 16 w + 4 t + j (pairs, t = 0..3), 4 t + j (bits, t = 0..7)
//              or 4 w + j (bytes). So four consecutive values always are one word of bytes, in order.
// A panel of a format of single values is the values [k][16 rows] as they are.
#pragma once
#include <cstdint>

#include "core/pool.h"
#include "formats/format.h"

namespace tailor::formats {

inline constexpr std::int64_t panel_rows = 16;
/// Values whose codes stand together in a panel.
inline constexpr std::int64_t panel_step = 32;
/// Values whose scales stand together, before their codes.
inline constexpr std::int64_t panel_unit = 256;

enum class ScaleKind {
    half,          ///< one f16 per block
    super,         ///< one f16 per block times a signed byte per group; minima: f16 per block times a byte per group
    super_nibble,  ///< the same with both in one byte: the scale in the low nibble, the minimum in the high one
    exponent,      ///< a byte e per block: 2^(e - 128)
};

/// One block taken apart. Values beyond the block are not set.
struct BlockIntegers {
    std::uint8_t codes[256];
    std::uint16_t scale, minimum;  ///< f16; for ScaleKind::exponent the byte e
    std::uint8_t group_scales[16], group_minima[16];
};

/// How a format's blocks look as integers: value = scale * (code - zero) - minimum, or scale * table[code] - minimum.
struct IntegerForm {
    int bits = 4;    ///< of a code: 2, 3, 4, 5, 6 or 8
    int zero = 0;    ///< the code that stands for 0; with minima it is 0
    int levels = 0;  ///< codes in use, as many below `zero` as above; 0: all that the bits allow
    int group = 32;  ///< values that share a scale: 16 or 32 of a ScaleKind with groups, otherwise 32 or a multiple of it
    ScaleKind scales = ScaleKind::half;
    int largest_scale = 1;  ///< the largest magnitude that the bytes of a group's scale, if there are any, can have
    bool minima = false;
    const std::int8_t* table = nullptr;  ///< of 16 numbers, for 4-bit codes; zero is not used then
    void (*split)(const std::byte* block, BlockIntegers& out) noexcept = nullptr;
    /// Writes the codes of a block whose scales stay as they are: what rounding to given scales needs (given_scales.h). Null: none.
    void (*join)(const std::uint8_t* codes, std::byte* block) noexcept = nullptr;
    int scale_at = -1, minimum_at = -1;  ///< bytes into a block at which the f16 scale and minimum stand; -1: there is none
};

/// True if weights of this format can be put in panels.
bool has_panels(const Format& format);
/// Bytes of one panel of rows of `width` values; a multiple of 64.
std::int64_t panel_bytes(const Format& format, std::int64_t width);
/// Bytes of the scales, and of scales and codes, of `values` columns (at most a unit); only for formats with an IntegerForm.
std::int64_t unit_scale_bytes(const Format& format, std::int64_t values);
std::int64_t unit_bytes(const Format& format, std::int64_t values);
// A stack of matrices [count, n, width], one per expert, has the panels of each matrix one after the other.

/// Bytes of a matrix [n, width], or a stack of them, in panels.
std::int64_t panels_bytes(const Format& format, const core::Shape& shape);

/// A view of `data` as a matrix or a stack of them in panels.
core::Tensor panels_view(const Format& format, const core::Shape& shape, const void* data);
/// A matrix (or a stack of them) in panels that owns its memory, packed from the row-wise one `rows`. Throws Error(shape) unless it
/// is such and its format has panels. In parallel if there is a pool.
core::Tensor make_panels(const core::Tensor& rows, core::Pool* pool = nullptr);

/// Writes panel `index` of the row-wise matrix `rows` to `panel` (panel_bytes).
void pack_panel(const core::Tensor& rows, std::int64_t index, std::byte* panel) noexcept;
/// Decodes row `lane` of a panel: the same bits as Format::decode gives for the row. The plain definition of the layout.
void decode_panel_row(const Format& format, const std::byte* panel, std::int64_t lane, std::int64_t width, float* values) noexcept;

/// Row `i` of a matrix in either layout, decoded; the rows of a stack are counted through.
void decode_row(const core::Tensor& matrix, std::int64_t i, float* values) noexcept;

/// Splits n bytes into 2 n codes: the low nibbles, then the high ones.
template <int n>
inline void split_nibbles(const std::uint8_t* bytes, std::uint8_t* codes) {
    for (int i = 0; i < n; ++i) codes[i] = bytes[i] & 15;
    for (int i = 0; i < n; ++i) codes[n + i] = bytes[i] >> 4;
}
/// Splits n bytes into 4 n codes of two bits: the lowest pairs first.
template <int n>
inline void split_pairs(const std::uint8_t* bytes, std::uint8_t* codes) {
    for (int t = 0; t < 4; ++t)
        for (int i = 0; i < n; ++i) codes[n * t + i] = bytes[i] >> 2 * t & 3;
}

}  // namespace tailor::formats
