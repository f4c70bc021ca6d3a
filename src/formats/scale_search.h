// Searching scales: the part that all encoders share.
//
// A block stores x_i as scale * g(code_i) (+ offset), where g is a small grid: consecutive integers or a codebook. Given the
// scale the best code is the nearest grid point; given the codes the best scale is a least-squares fit. Alternating the two
// never raises the error but stops in one of many local minima, so everything depends on where it starts. Therefore the
// search keeps sixteen candidates at once, one per vector lane: for each value in turn all sixteen are rounded and their sums
// updated, and each candidate's least-squares fit follows from those sums without a second pass. Sums are taken of
// residuals, not of squares of values, so nothing cancels. A lane's arithmetic is the same sequence of single-precision
// operations at every instruction-set level, hence so are the bits of the result.
//
// Formats with two levels of scales (d times a small integer per sub-block) start from the best free scale of each sub-block,
// choose d by a quadratic model of the error around those, then alternate: the best integers for d by trying sixteen per
// sub-block with the true error, and the best d for these integers by least squares, always with d as f16 will store it.
//
// Blocks are first divided by a power of two near their largest magnitude, so rows of any size neither overflow nor
// underflow. Weights below 2^-20 of the block's largest count as that, so that values of no importance stay sensible.
// All functions are free of state and may be called from several threads.
#pragma once
#include <cstdint>

#include "cpu/isa.h"

namespace tailor::formats {

/// The numbers that codes stand for before scaling: the integers low..high (low < 0 < high), or, with a codebook, its 16
/// ascending entries; then codes are indices 0..15 and low and high its first and last entry.
struct Grid {
    int low;
    int high;
    const std::int8_t* codebook = nullptr;
};

/// Sub-blocks of `size` values (16 or 32) in a super-block of 256, and the integers low..high that scale them.
struct SubBlocks {
    int size;
    int low;
    int high;
};

/// Two f16 numbers as bits: x ~ scale * code + offset, or with minima x ~ scale * code - offset.
struct HalfPair {
    std::uint16_t scale;
    std::uint16_t offset;
};

/// x ~ scale * grid(code) for `count` values (up to 256). Writes the codes and returns the f16 scale, which may be negative.
/// All-zero blocks get scale 0 and codes that decode to +0.
using SearchScale = std::uint16_t (*)(const Grid& grid, const float* values, const float* importance, int count,
                                      std::int8_t* codes) noexcept;
extern const cpu::PerIsa<SearchScale> search_scale;

/// x ~ scale * code + offset with codes 0..high for `count` values (up to 256).
using SearchAffine = HalfPair (*)(int high, const float* values, const float* importance, int count,
                                  std::uint8_t* codes) noexcept;
extern const cpu::PerIsa<SearchAffine> search_affine;

/// x ~ 2^exponent * codebook(code) for 32 values; the exponent is within -128..127.
using SearchExponent = int (*)(const Grid& grid, const float* values, const float* importance, std::int8_t* codes) noexcept;
extern const cpu::PerIsa<SearchExponent> search_exponent;

/// x ~ scales[index] * codebook(code) for `count` values (up to 256), where `scales` are `scale_count` (at least 16) ascending numbers
/// from 0 up. Returns the index.
using SearchListed = int (*)(const Grid& grid, const float* scales, int scale_count, const float* values, const float* importance, int count,
                             std::int8_t* codes) noexcept;
extern const cpu::PerIsa<SearchListed> search_listed;

/// x ~ d * scales[sub-block] * grid(code) for 256 values; returns d as f16.
using SearchSuperScale = std::uint16_t (*)(const Grid& grid, const SubBlocks& layout, const float* values,
                                           const float* importance, std::int8_t* scales, std::int8_t* codes) noexcept;
extern const cpu::PerIsa<SearchSuperScale> search_super_scale;

/// x ~ d * scales[sub-block] * code - dmin * minima[sub-block] for 256 values, codes 0..high, scales and minima
/// 0..layout.high; returns d and dmin as f16. Both are negative for super-blocks that lie above zero.
using SearchSuperAffine = HalfPair (*)(int high, const SubBlocks& layout, const float* values, const float* importance,
                                       std::uint8_t* scales, std::uint8_t* minima, std::uint8_t* codes) noexcept;
extern const cpu::PerIsa<SearchSuperAffine> search_super_affine;

/// x ~ scale * code with codes -1, 0, 1 for 256 values: the exact optimum, by sorting.
std::uint16_t search_ternary(const float* values, const float* importance, std::int8_t* codes) noexcept;

/// x ~ +-d for `count` values (up to 256): the f16 nearest to the weighted mean magnitude, the exact optimum.
std::uint16_t search_magnitude(const float* values, const float* importance, int count) noexcept;

}  // namespace tailor::formats
