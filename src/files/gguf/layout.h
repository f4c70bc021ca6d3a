// What the reader and the writer of GGUF agree on.
//
// A GGUF file is, little-endian and without padding between fields:
//
//     "GGUF"  u32 version  u64 tensors  u64 keys
//     keys    times:  string key, u32 type, value           an array is  u32 item type, u64 items, items
//     tensors times:  string name, u32 rank, u64 dimensions[rank] (innermost first), u32 type, u64 offset
//     zeros up to a multiple of the alignment (key general.alignment, 32 when missing)
//     tensor data, each tensor at its offset from here, zeros up to the alignment between them
//
// where a string is  u64 bytes, bytes.  Version 2 has the same layout as 3; version 1 had 32-bit counts and is not found
// any more.  A big-endian file has the same fields in the other byte order and shows it in its version.
#pragma once
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "files/file.h"
#include "files/quoted.h"

namespace tailor::files::gguf {

static_assert(std::endian::native == std::endian::little, "numbers are copied to and from the file as they are");

inline constexpr std::uint32_t newest_version = 3;
inline constexpr std::uint64_t default_alignment = 32;
/// The largest page of the processors Tailor runs on (arm64 can use 64 KiB); more would only be padding.
inline constexpr std::uint64_t largest_alignment = 65536;
/// The specification's bound on keys, used for tensor names too when reading.
inline constexpr std::uint64_t longest_key_bytes = 65535;
/// The specification allows tensor names of 64 bytes, its first implementation 63: files written here open everywhere.
inline constexpr std::uint64_t longest_written_name_bytes = 63;

inline constexpr std::string_view alignment_key = "general.alignment";

/// Bytes of one scalar in the file; 8 for a string, which is its length field.
std::uint64_t scalar_bytes(MetaType type);

/// The specification's word for a tensor type id ("Q4_K"), empty when it has none.
std::string_view type_name(std::int64_t id);

/// `value` rounded up to a multiple of `alignment`, a power of two; the caller knows that it cannot overflow.
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

/// The alignment that the metadata asks for. Throws Error(format) naming `path` unless it is a power of two in range.
std::uint64_t alignment_of(const Metadata& metadata, const std::string& path);

std::unique_ptr<File> open(const std::string& path);
std::unique_ptr<File> open_memory(std::span<const std::byte> bytes, const std::string& path);
std::uint64_t write(const std::string& path, const WritePlan& plan, const TensorSource& source);
std::uint64_t written_bytes(const WritePlan& plan);

}  // namespace tailor::files::gguf
