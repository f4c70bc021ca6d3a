// Rounding to scales that are given: the cheap half of encoding.
//
// Encoders search scales, which takes up to 66 ns per value; training with rounded weights rounds all of them at every step. Scales
// change slowly and codes fast, so the scales of an encoded row are kept and only the codes are found anew:
//     code = clamp(nearest((x - offset) / scale)),  or the nearest entry of the format's table
// with scale and offset of the value's group as its block states them. Written into the block, the codes decode to what was rounded to,
// to the bit, because the decoder is the format's own. For every format whose IntegerForm has `join`.
#pragma once
#include "formats/format.h"
#include "formats/panels.h"

namespace tailor::formats {

/// True if round_to_scales() takes this format.
inline bool keeps_scales(const Format& format) { return format.integers && format.integers->join; }
/// True if the blocks of this format have an f16 scale that may be any number, so that it can be learned.
inline bool learns_scales(const Format& format) { return keeps_scales(format) && format.integers->scale_at >= 0; }

/// Value = scale[g] * number(code) + offset[g] for group g of a block.
struct BlockLines {
    float scale[16], offset[16];
};
void block_lines(const Format& format, const std::byte* block, BlockLines& lines) noexcept;

/// `block` with its f16 scale, and its minimum if it has one, times `factor`, each rounded to f16. Needs learns_scales().
void multiply_scales(const Format& format, std::byte* block, float factor) noexcept;

/// Gives `blocks`, which hold scales, the codes nearest to `values`: `count` of them, a multiple of values_per_block. The same bits at every level.
using RoundToScales = void (*)(const Format& format, const float* values, std::byte* blocks, std::int64_t count) noexcept;
extern const cpu::PerIsa<RoundToScales> round_to_scales;

/// Sets inside[i] to 1 where values[i] lies within the numbers that the block's scale reaches, `margin` codes beyond its ends included; else
/// to 0. For formats with tables the ends are those of the table.
void mark_reached(const Format& format, const float* values, const std::byte* blocks, double margin, float* inside, std::int64_t count) noexcept;

/// True if the blocks of this format have one f16 scale and nothing else to choose.
inline bool has_plain_scale(const Format& format) { return learns_scales(format) && format.integers->scales == ScaleKind::half && !format.integers->minima; }
/// The scale by rule rather than by search, for blocks with one f16 scale and nothing else; false, and nothing done, for others. Ternary
/// blocks: the mean magnitude (Ma et al., "The Era of 1-bit LLMs", 2024, equation 3); others: the largest magnitude over the largest code.
bool set_plain_scale(const Format& format, const float* values, std::byte* block) noexcept;

}  // namespace tailor::formats
