// What kernels of integer codes are compiled for, and the choice among them: one visitor for all kernels.
//
// A kernel is a template over a Kind, so that unpacking, groups and minima cost no branch inside its loops. visit_kind()
// calls a function with the Kind of a format's form; the function names the template's instance and does nothing else:
//     visit_kind(form, [](auto kind) { return &multiply<decltype(kind)>; })
// Unpacked, a code is a byte: the code itself, or for a form with a table table[code] + zero, where zero makes the least
// number 0. Either way the weight is scale * (byte - zero), less its minimum if it has one.
#pragma once
#include <algorithm>

#include "formats/panels.h"

namespace tailor::ops::matmul_kernels {

/// A form as template arguments.
template <int code_bits, bool has_table, int groups_per_block, bool has_minima>
struct Kind {
    static constexpr int bits = code_bits;
    static constexpr bool table = has_table;         ///< bytes are looked up by code
    static constexpr int groups = groups_per_block;  ///< scales per 32 values: 1 or 2
    static constexpr bool minima = has_minima;       ///< then zero is 0
};

/// The bytes that unpacking gives.
struct UnpackedBytes {
    int zero;     ///< the byte that stands for 0
    int largest;  ///< byte
};
inline UnpackedBytes unpacked_bytes(const formats::IntegerForm& form) noexcept {
    if (!form.table) return {form.zero, (1 << form.bits) - 1};
    const auto [least, largest] = std::minmax_element(form.table, form.table + 16);
    return {-*least, *largest - *least};
}

/// Weight scales per 32 values.
inline int groups_per_block(const formats::IntegerForm& form) noexcept { return form.group == 16 ? 2 : 1; }

/// The largest magnitude of the integers that scales multiply.
inline int largest_number(const formats::IntegerForm& form) noexcept {
    const auto [zero, largest] = unpacked_bytes(form);
    return std::max(zero, largest - zero);
}

/// True if the products of a group of up to 32 weights with signed bytes fit sums of 16 bits: two sums share them, and two
/// products, before the zero is taken off, are added at a time.
inline bool fits_narrow(const formats::IntegerForm& form) noexcept {
    const int products = 16 / groups_per_block(form);
    return 2 * 127 * unpacked_bytes(form).largest <= 32767 && products * 127 * largest_number(form) <= 32767;
}

/// True if code times group scale is an integer throughout blocks of 256.
inline bool fits_scaled(const formats::Format& format) noexcept {
    const bool groups = format.integers->scales == formats::ScaleKind::super || format.integers->scales == formats::ScaleKind::super_nibble;
    return format.values_per_block == formats::panel_unit && (groups || format.integers->group == formats::panel_unit);
}

template <int bits, bool table, class Visitor>
auto visit_groups(const formats::IntegerForm& form, const Visitor& visitor) noexcept {
    if (form.group == 16) return form.minima ? visitor(Kind<bits, table, 2, true>{}) : visitor(Kind<bits, table, 2, false>{});
    return form.minima ? visitor(Kind<bits, table, 1, true>{}) : visitor(Kind<bits, table, 1, false>{});
}

/// visitor(Kind of this form). The visitor takes any Kind and always returns the same type.
template <class Visitor>
auto visit_kind(const formats::IntegerForm& form, const Visitor& visitor) noexcept {
    switch (form.bits) {
        case 2: return visit_groups<2, false>(form, visitor);
        case 3: return visit_groups<3, false>(form, visitor);
        case 4: return form.table ? visit_groups<4, true>(form, visitor) : visit_groups<4, false>(form, visitor);
        case 5: return visit_groups<5, false>(form, visitor);
        case 6: return visit_groups<6, false>(form, visitor);
        default: return visit_groups<8, false>(form, visitor);
    }
}

}  // namespace tailor::ops::matmul_kernels
