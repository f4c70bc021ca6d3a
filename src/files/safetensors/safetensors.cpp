// safetensors, the container of Hugging Face: the registry entry; layout.h has the layout, files/hugging_face the folders.
#include <sys/stat.h>

#include <cstring>

#include "files/hugging_face/folder.h"
#include "files/safetensors/layout.h"

namespace tailor::files::entries {

static bool recognizes(std::span<const std::byte> head) {
    std::uint64_t header_bytes = 0;
    if (head.size() <= sizeof header_bytes) return false;
    std::memcpy(&header_bytes, head.data(), sizeof header_bytes);
    return head[sizeof header_bytes] == std::byte{'{'} && header_bytes <= safetensors::most_header_bytes;
}

/// A folder's only file stands for the folder: its settings lie beside it.
static std::unique_ptr<File> open(const std::string& path) {
    if (hugging_face::looks_like_folder(path)) return hugging_face::open_folder(path);
    constexpr std::string_view only = "model.safetensors";
    if (const std::size_t slash = path.rfind('/'); path.substr(slash == std::string::npos ? 0 : slash + 1) == only) {
        const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
        if (hugging_face::looks_like_folder(folder)) return hugging_face::open_folder(folder);
    }
    return safetensors::open(path);
}

extern const FileKind safetensors = {
    .name = "safetensors",
    .extension = ".safetensors",
    .doc = "safetensors: one file of tensors, or a Hugging Face folder with config.json and its shards",
    .recognizes = &recognizes,
    .open = &open,
    .open_memory = &files::safetensors::open_memory,
    .write = &files::safetensors::write,
    .written_bytes = &files::safetensors::written_bytes,
    .recognizes_folder = &hugging_face::looks_like_folder,
};

}  // namespace tailor::files::entries
