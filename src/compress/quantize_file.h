// Writing a copy of a model file with other number formats, one tensor at a time.
//
// Peak memory is one tensor of the copy: source tensors are views of the mapped file whose pages are given back once
// they are converted. A tensor whose format does not change is passed through bit by bit.
#pragma once
#include <functional>
#include <string>

#include "compress/importance.h"
#include "compress/registry.h"
#include "core/pool.h"
#include "files/file.h"

namespace tailor::compress {

/// The format that a tensor of the source shall have in the copy; called once per tensor, in the order of the file.
using ChooseFormat = std::function<const formats::Format&(const files::TensorInfo&)>;

/// True for what is worth quantizing: weights of at least two dimensions with rows of 32 values or more. Vectors (norms,
/// biases), routers of experts and tables of positions are few and sensitive; shorter rows belong to convolution kernels.
bool is_weight_matrix(const files::TensorInfo& tensor);

/// `wanted` if rows of `width` values fit its blocks; else the smallest format that fits, can be encoded and stored in
/// GGUF, and has at least as many bits per value (the more accurate of equals): q4_k gives way to iq4_nl.
const formats::Format& fitting_format(const formats::Format& wanted, std::int64_t width);

/// What would be written: the metadata with general.file_type (the format of most values; left out if it has no number)
/// and general.quantization_version (if anything is quantized) brought up to date, and the tensors in the file's order.
/// FileKind::written_bytes of it is the exact size. Throws Error(unsupported) or Error(shape) naming file and tensor.
files::WritePlan quantized_plan(const files::File& source, const ChooseFormat& choose);

/// One tensor that was converted or passed through.
struct QuantizedTensor {
    const files::TensorInfo& source;
    const formats::Format& format;
    std::span<const float> importance;  ///< empty: none
    WeightedError error;                ///< both 0 if passed through
};
using ObserveTensor = std::function<void(const QuantizedTensor&)>;

/// Writes the copy to `path`, whose extension says the container, and returns its bytes. `importance` may be null.
/// `progress` counts values. `observe` may be empty; if not, errors are computed for it (about as long as decoding both).
/// Throws Error(usage) if `path` is the source itself, Error(numeric) naming the tensor if it holds NaN or infinity; then
/// and on Ctrl-C nothing is left at `path`.
std::uint64_t write_quantized(const files::File& source, const ChooseFormat& choose, const Importance* importance, const std::string& path,
                              core::Pool& pool, const run::Progress& progress = {}, const ObserveTensor& observe = {});

}  // namespace tailor::compress
