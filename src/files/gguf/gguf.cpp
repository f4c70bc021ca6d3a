// GGUF, the container of llama.cpp: the registry entry and what reading and writing share; layout.h has the layout.
#include <array>
#include <cstring>

#include "core/error.h"
#include "files/gguf/layout.h"

namespace tailor::files {

namespace gguf {

std::uint64_t scalar_bytes(MetaType type) {
    switch (type) {
        case MetaType::u8:
        case MetaType::i8:
        case MetaType::boolean: return 1;
        case MetaType::u16:
        case MetaType::i16: return 2;
        case MetaType::u32:
        case MetaType::i32:
        case MetaType::f32: return 4;
        default: return 8;
    }
}

// Indexed by id; ids without a word were withdrawn from the format.
static constexpr std::array<std::string_view, 43> type_names = {
    "F32",    "F16",    "Q4_0", "Q4_1",   "",        "",       "Q5_0",    "Q5_1",  "Q8_0",   "Q8_1",  "Q2_K",
    "Q3_K",   "Q4_K",   "Q5_K", "Q6_K",   "Q8_K",    "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S",  "IQ4_XS", "I8",   "I16",    "I32",     "I64",    "F64",     "IQ1_M", "BF16",   "",      "",
    "",       "TQ1_0",  "TQ2_0", "",      "",        "",       "MXFP4",   "NVFP4", "Q1_0",   "Q2_0",
};

std::string_view type_name(std::int64_t id) {
    return id >= 0 && id < static_cast<std::int64_t>(type_names.size()) ? type_names[static_cast<std::size_t>(id)]
                                                                        : std::string_view();
}

std::uint64_t alignment_of(const Metadata& metadata, const std::string& path) {
    const MetaValue* const value = metadata.find(alignment_key);
    if (!value) return default_alignment;
    if (!is_integer(value->type))
        core::fail(core::ErrorKind::format, "{}: key '{}' has type {}; it must be an integer", path, alignment_key,
                   name(value->type));
    const auto alignment = static_cast<std::uint64_t>(value->integer);
    if (value->integer < 1 || alignment > largest_alignment || !std::has_single_bit(alignment))
        core::fail(core::ErrorKind::format, "{}: key '{}' is {}; it must be a power of two from 1 to {}", path, alignment_key,
                   value->integer, largest_alignment);
    return alignment;
}

}  // namespace gguf

namespace entries {

// "FUGG" is what a writer that swaps the magic too leaves; the reader then says that the file is big-endian.
static bool recognizes(std::span<const std::byte> head) {
    return head.size() >= 4 && (std::memcmp(head.data(), "GGUF", 4) == 0 || std::memcmp(head.data(), "FUGG", 4) == 0);
}

extern const FileKind gguf = {
    .name = "gguf",
    .extension = ".gguf",
    .doc = "GGUF, versions 2 and 3: metadata, vocabulary and tensors in one mappable file",
    .recognizes = &recognizes,
    .open = &gguf::open,
    .open_memory = &gguf::open_memory,
    .write = &gguf::write,
    .written_bytes = &gguf::written_bytes,
};

}  // namespace entries

}  // namespace tailor::files
