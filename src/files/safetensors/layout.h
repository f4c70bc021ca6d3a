// What the reader and the writer of safetensors agree on.
//
// A safetensors file is, little-endian:
//
//     u64 header bytes
//     header    JSON: {"__metadata__": {"key": "text", ...}, "name": {"dtype": "F32", "shape": [n, k], "data_offsets": [begin, end]}, ...}
//     data      begin and end count from here; the tensors fill it without gaps and without overlap, rows first to last
//
// The header may end in spaces. There is no alignment rule, but writers pad the header to 8 bytes, so that data can be used in
// place. The format has no room for a network's settings: those lie beside it in config.json (see files/hugging_face).
#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/file.h"

namespace tailor::files::safetensors {

static_assert(std::endian::native == std::endian::little, "numbers are copied to and from the file as they are");

/// The bound of the format's first implementation; a larger header opens nowhere else.
inline constexpr std::uint64_t most_header_bytes = 100'000'000;
inline constexpr std::string_view metadata_name = "__metadata__";
/// The entry of __metadata__ that holds the keys of a GGUF file, as typed_json() writes them.
inline constexpr std::string_view typed_metadata_key = "tailor.metadata";

/// One of the format's types of numbers.
struct DataType {
    std::string_view name;    ///< "BF16"
    int bits;                 ///< of one number; 4 and 6 are packed without gaps
    std::string_view format;  ///< number format that reading gives: f32 f16 bf16 i32; empty: bytes that only a packing understands
    /// Writes `count` numbers in `format`; false if one does not fit. nullptr: the bytes are in `format` already.
    bool (*convert)(const std::byte* data, std::byte* converted, std::int64_t count) noexcept;
};

/// nullptr for a type that is not known.
const DataType* find_data_type(std::string_view name);
/// The type that stores a number format as it is; nullptr when there is none.
const DataType* data_type_of(const formats::Format& format);
/// `count` numbers as f32; false if `type` has no format or one does not fit. 64-bit integers go by way of i32.
bool to_f32(const DataType& type, const std::byte* data, float* values, std::int64_t count) noexcept;

/// One tensor as the header describes it.
struct StoredTensor {
    std::string name;
    const DataType* type = nullptr;  ///< nullptr: not known to this build
    std::string type_name;
    std::vector<std::int64_t> dimensions;
    std::uint64_t offset = 0;  ///< of its data, from the start of the file
    std::uint64_t bytes = 0;

    /// Product of the dimensions.
    std::int64_t elements() const;
};

struct Header {
    std::vector<std::pair<std::string, std::string>> metadata;  ///< of __metadata__
    std::vector<StoredTensor> tensors;                          ///< in the header's order
};

/// The checked header of a whole file. Throws Error(format) naming `path` and the tensor.
Header parse_header(std::span<const std::byte> file, const std::string& path);

/// The tensor as numbers: a view of `data` where its bytes can be used in place, else converted into memory of its own.
/// Throws Error(unsupported) or Error(numeric) naming `path` and the tensor.
core::Tensor read_stored(const StoredTensor& tensor, const std::byte* data, const std::string& path);
/// The dimensions as a Shape; Error(unsupported) if there are more than four.
core::Shape shape_of(const StoredTensor& tensor, const std::string& path);

/// What will be written; `metadata` becomes __metadata__.
struct Contents {
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<WritePlan::Entry> tensors;
};
/// Writes beside `path` and renames; returns the bytes. Throws Error(unsupported) naming a tensor whose format safetensors lacks.
std::uint64_t write_contents(const std::string& path, const Contents& contents, const TensorSource& source);

std::unique_ptr<File> open(const std::string& path);
std::unique_ptr<File> open_memory(std::span<const std::byte> bytes, const std::string& path);
std::uint64_t write(const std::string& path, const WritePlan& plan, const TensorSource& source);
std::uint64_t written_bytes(const WritePlan& plan);

}  // namespace tailor::files::safetensors
