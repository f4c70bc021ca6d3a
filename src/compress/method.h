// Compression methods: how a weight becomes a smaller one.
//
// A method is one file src/compress/<name>.cpp that defines `extern const Method <name>` in namespace
// tailor::compress::entries.
#pragma once
#include <span>
#include <string_view>

#include "core/pool.h"
#include "core/tensor.h"
#include "formats/format.h"

namespace tailor::compress {

/// What a method works on: one weight matrix of any format, and where it shall go.
struct Request {
    const core::Tensor& source;
    const formats::Format& target;
    /// One weight >= 0 per column, or per column of each matrix of a stack: how much an error there matters. Empty: all the same.
    std::span<const float> importance;
    core::Pool& pool;
};

/// The importance of the columns of row `row`, which counts through a stack; empty if `importance` is.
inline std::span<const float> importance_of_row(std::span<const float> importance, const core::Shape& shape, std::int64_t row) {
    const auto width = static_cast<std::size_t>(shape.width());
    if (importance.size() <= width) return importance;
    return importance.subspan(static_cast<std::size_t>(row / shape[shape.rank() - 2]) * width, width);
}
/// True if `importance` is empty or fits a matrix, or a stack of them, of this shape.
inline bool importance_fits(std::span<const float> importance, const core::Shape& shape) {
    const std::int64_t size = static_cast<std::int64_t>(importance.size()), width = shape.width();
    return size == 0 || size == width || (shape.rank() == 3 && size == shape[0] * width);
}

struct Method {
    std::string_view name;
    std::string_view doc;
    /// The compressed tensor, owning its memory. Throws Error(shape) if the rows do not fit the format's blocks and
    /// Error(numeric) if the source holds NaN or infinity.
    core::Tensor (*apply)(const Request& request);
};

}  // namespace tailor::compress
