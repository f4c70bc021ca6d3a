// Models of well-known shapes with made-up weights: what speed and size can be known without downloading anything.
//
// Time and memory depend on shapes and formats, not on what the weights say, so a synthetic llama-1.1b measures the same
// as the real one. It has the metadata and the tensor names of a llama GGUF file but no tokenizer, and its text is noise.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "files/file.h"

namespace tailor::files {

/// The numbers that fix a Llama-shaped model.
struct SyntheticShape {
    std::string_view name;
    std::int64_t width, layers, heads, kv_heads, head_width, ffn_width, vocabulary, context;
    bool tied;         ///< the output matrix is the embedding
    double rope_base;  ///< base of the rotary frequencies
};

/// Every shape that make_synthetic() knows, smallest first.
std::span<const SyntheticShape> synthetic_shapes();

/// A File whose matrices are in `format` and whose norms are f32. read() makes the tensor anew each time: the same
/// (shape, tensor) pair always gives the same values. bytes() counts tensor data only.
/// Throws Error(usage) listing the shapes for an unknown name, Error(shape) if the format's blocks do not fit the rows,
/// Error(unsupported) if the format cannot encode weights.
std::unique_ptr<File> make_synthetic(std::string_view name, const formats::Format& format);

}  // namespace tailor::files
