// What fake_quantize and its gradient share: checks, rows rounded to the scales they are given, and cases.
#pragma once
#include <algorithm>
#include <cstring>

#include "formats/given_scales.h"
#include "ops/support.h"

namespace tailor::ops {

/// Input 0: f32 weights. Input 1: the same shape in a format that keeps its scales. Input `factors`, where it is given: one f32 per block.
inline void require_rounded(const NodeView& node, std::size_t factors) {
    require_f32(node, 0);
    const TensorType& packed = node.inputs[1];
    require(packed.shape == node.inputs[0].shape && packed.layout == core::Layout::rows, "blocks of the shape of the weights are needed", node);
    if (!formats::keeps_scales(*packed.format))
        core::fail(core::ErrorKind::unsupported, "weights cannot be trained in the format {}: it has no rounding to given scales", packed.format->name);
    if (!node.input(factors)) return;
    require_f32(node, factors);
    require(node.input(factors).shape.elements() * packed.format->values_per_block == packed.shape.elements(), "one factor per block is needed", node);
    if (!formats::learns_scales(*packed.format)) core::fail(core::ErrorKind::unsupported, "the scales of the format {} cannot be learned: they are no free numbers", packed.format->name);
}

/// Values rounded at a time, on the stack: whole blocks of every format that keeps its scales, in at most 4 bytes a value.
inline constexpr std::int64_t piece_values = 256;

/// Calls body(begin, count, blocks) for pieces of row `r`: `blocks` is a copy of the piece's blocks in `packed`, with their scales times the factors, if
/// any, and the codes nearest to the weights.
template <class Body>
void for_rounded_pieces(const core::Tensor& weights, const core::Tensor& packed, const core::Tensor* factors, std::int64_t r, cpu::Isa isa, const Body& body) noexcept {
    const formats::Format& format = *packed.format;
    const std::int64_t width = weights.shape.width();
    std::byte blocks[4 * piece_values];
    for (std::int64_t begin = 0; begin < width; begin += piece_values) {
        const std::int64_t count = std::min(piece_values, width - begin), first = (r * width + begin) / format.values_per_block;
        std::memcpy(blocks, packed.row(r) + format.row_bytes(begin), static_cast<std::size_t>(format.row_bytes(count)));
        for (std::int64_t b = 0; factors && b < count / format.values_per_block; ++b) formats::multiply_scales(format, blocks + b * format.bytes_per_block, factors->row_f32(0)[first + b]);
        formats::round_to_scales.at(isa)(format, weights.row_f32(r) + begin, blocks, count);
        body(begin, count, static_cast<const std::byte*>(blocks));
    }
}

/// Formats of each kind of scale, with factors for those that can learn them.
inline std::vector<Case> rounded_cases(bool with_gradient) {
    std::vector<Case> list;
    for (const std::string_view format : {"q4_0", "q8_0", "q4_1", "tq2_0", "tq1_0", "q2_k", "q4_k", "q6_k", "mxfp4", "iq4_nl"})
        for (const bool with_factors : {false, true}) {
            if (with_factors && !formats::learns_scales(formats::get(format))) continue;
            const core::Shape shape{9, 512};
            Case c{.inputs = {f32(shape), of(format, shape)}};
            if (with_gradient) c.inputs.push_back(f32(shape));
            if (with_factors) c.inputs.push_back(f32({shape.elements() / formats::get(format).values_per_block}));
            list.push_back(c);
        }
    return list;
}

}  // namespace tailor::ops
