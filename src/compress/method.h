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
    /// One weight >= 0 per column: how much an error in that column matters. Empty: all the same.
    std::span<const float> importance;
    core::Pool& pool;
};

struct Method {
    std::string_view name;
    std::string_view doc;
    /// The compressed tensor, owning its memory. Throws Error(shape) if the rows do not fit the format's blocks and
    /// Error(numeric) if the source holds NaN or infinity.
    core::Tensor (*apply)(const Request& request);
};

}  // namespace tailor::compress
