// What happens to a tensor between its Hugging Face name and its GGUF name, and how it is undone.
//
// The two conventions differ in layout more than in content: order of rows, transposition, a constant added. Each difference is
// a Step that knows both directions, so that one description of an architecture serves reading and writing. A step sees
// scalar formats only (f32, f16, bf16); one that changes values works in f32.
#pragma once
#include <functional>
#include <string_view>

#include "core/tensor.h"

namespace tailor::files::hugging_face {

struct Step {
    using Reshape = std::function<core::Shape(const core::Shape&)>;
    using Apply = std::function<core::Tensor(const core::Tensor&)>;
    std::string_view name = "same";
    bool as_f32 = false;          ///< the GGUF side is f32, whatever the other is
    Reshape shape, shape_back;    ///< empty: the shape stays
    Apply apply, undo;            ///< from Hugging Face to GGUF and back; empty: the tensor stays
};

/// As it is.
Step same();
/// As it is, in f32 in GGUF: small matrices that decide much (routers, convolution kernels).
Step exact();
/// Rows of each head from [x0 x1 ...; y0 y1 ...] to [x0; y0; x1; y1 ...]: rotary pairs become neighbours.
Step neighbour_pairs(std::int64_t heads);
/// A matrix with inputs outermost (GPT-2's Conv1D) to outputs outermost; vectors stay.
Step transposed();
/// Weights stored as their distance from 1 (Gemma's norms). Exact both ways for weights of at least 1/2.
Step plus_one();
/// Mamba's A = -exp(A_log).
Step negative_exponential();
/// [channels, 1, kernel] to [channels, kernel].
Step without_middle();
/// [k] to [1, k] or [k, 1]; [1, k] to [k]: the same numbers in another shape on the GGUF side.
Step reshaped(core::Shape theirs, core::Shape ours);
/// Rows of a fused projection, [head][q k v][row] to [q k v][head][row]: GPT-NeoX and BLOOM.
Step split_fused_heads(std::int64_t heads);
/// Row r of the GGUF side is row source_row(r, rows) of the other, a permutation wherever rows are a multiple of `multiple`. The
/// shape functions throw Error(format) where they are not.
Step rows_reordered(std::string_view name, std::int64_t multiple, std::function<std::int64_t(std::int64_t row, std::int64_t rows)> source_row);

/// A copy in `format`; the tensor itself if it has it.
core::Tensor converted(const core::Tensor& tensor, const formats::Format& format);

}  // namespace tailor::files::hugging_face
