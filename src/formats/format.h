// Number formats.
//
// A format stores a row of numbers in blocks: `values_per_block` numbers in `bytes_per_block` bytes. A row's length is a
// multiple of values_per_block and rows are stored one after the other. Each format lives in one folder,
// src/formats/<name>/<name>.cpp, which defines `extern const Format <name>` in namespace tailor::formats::entries;
// nothing else is edited to add one. conformance_test.cpp holds every registered format to the contracts below.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/tensor.h"
#include "cpu/isa.h"

namespace tailor::formats {

/// Decodes `count` values (a multiple of values_per_block) from `blocks`. Every level gives the same bits.
using Decode = void (*)(const std::byte* blocks, float* values, std::int64_t count) noexcept;

/// Encodes `count` values (a multiple of values_per_block) of one row to `blocks`, searching scales for the least
/// sum of importance[i] * (values[i] - decoded[i])^2. `importance` holds `count` weights >= 0, or is null for equal
/// weights. Values are finite. Deterministic; writes exactly count / values_per_block * bytes_per_block bytes.
using Encode = void (*)(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept;

/// What is known of a format's error: root mean square of (x - decoded(encoded(x))) / root mean square of x, for rows of
/// independent standard normal numbers. Zero: every f32 value this format can hold is kept exactly.
struct Facts {
    double gaussian_relative_rmse = 0;
    double least_usual = 1e-3, most_usual = 1e4;  ///< rows whose root mean square lies between are stored about as well
};

struct IntegerForm;

struct Format {
    std::string_view name;  ///< lower case, as used in flags: "q4_k"
    std::string_view doc;   ///< one sentence: block layout in words and what it is for
    std::int32_t values_per_block = 1;
    std::int32_t bytes_per_block = 4;
    int gguf_type = -1;       ///< tensor type id in GGUF, -1 if GGUF cannot hold it
    int gguf_file_type = -1;  ///< value of general.file_type for a file mostly in this format, -1 if there is none
    bool weights = true;      ///< may hold weights (false: indices and the like)
    Facts facts;
    cpu::PerIsa<Decode> decode;  ///< the base level is plain code, the reference for the others
    Encode encode = nullptr;
    const IntegerForm* integers = nullptr;  ///< how blocks look as integers, for panels (panels.h); null: they are not

    double bits_per_value() const { return 8.0 * bytes_per_block / values_per_block; }
    /// True if rows of `width` values can be stored.
    bool holds(std::int64_t width) const { return width % values_per_block == 0; }
    /// Bytes of one row of `width` values; `width` is a multiple of values_per_block.
    std::int64_t row_bytes(std::int64_t width) const { return width / values_per_block * bytes_per_block; }
};

/// Bytes of a packed tensor of this shape.
std::int64_t tensor_bytes(const Format& format, const core::Shape& shape);
/// Memory aligned to 64 bytes; in huge pages if it is large and the system grants them, which spares the processor most look-ups
/// of addresses. Throws std::bad_alloc.
std::shared_ptr<std::byte> allocate(std::int64_t bytes);
/// A packed tensor that owns zeroed memory (64-byte aligned, 64 readable bytes of slack). Throws Error(shape) if the
/// width does not fit the format's blocks.
core::Tensor make_tensor(const Format& format, const core::Shape& shape);
/// A packed view of `data`.
core::Tensor view(const Format& format, const core::Shape& shape, const void* data);

}  // namespace tailor::formats
