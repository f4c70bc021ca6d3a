// Groups of numbers as small codes: the layout that pack_codes writes and unpack_codes reads.
//
// A group of 128 numbers has a least number m and a step s, both f32, then one code per number of 8 or 4 bits: number = m + s code. Codes lie in
// 32-bit words so that no number moves across lanes: with w words per group, code j of word i belongs to number i + j w. The last
// group is filled up with copies of its last number. 8 bits take 136 bytes for 512, 4 bits 72.
#pragma once
#include "ops/support.h"

namespace tailor::ops::codes {

inline constexpr std::int64_t group = 128;
/// Words before the codes: the least number and the step.
inline constexpr std::int64_t head = 2;

inline std::int64_t bits_of(const Attributes& attributes) { return attributes.integer("bits"); }
inline std::int64_t words_of(std::int64_t bits) { return group * bits / 32; }
inline std::int64_t groups_of(std::int64_t numbers) { return (numbers + group - 1) / group; }

inline void require_bits(const NodeView& node) {
    const std::int64_t bits = bits_of(node.attributes);
    require(bits == 8 || bits == 4, core::format("codes have 8 or 4 bits, not {}", bits), node);
}

}  // namespace tailor::ops::codes
