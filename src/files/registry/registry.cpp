// Opening a model file by what its first bytes say, and choosing a container by a path's extension; see registry.h.
//
// Reading trusts the bytes and never the name: a renamed file still opens. Writing has only the name to go by.
#include "files/registry.h"

#include <algorithm>

#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::files {

using core::ErrorKind;

const TensorInfo* File::find(std::string_view tensor) const {
    for (const TensorInfo& info : tensors_)
        if (info.name == tensor) return &info;
    return nullptr;
}

static std::string known_kinds() {
    std::vector<std::string> kinds;
    for (const FileKind* kind : all()) kinds.push_back(core::format("{} ({})", kind->name, kind->extension));
    return core::join(kinds, ", ");
}

static const FileKind& recognize(std::span<const std::byte> bytes, const std::string& name) {
    const auto head = bytes.first(std::min<std::size_t>(bytes.size(), 64));
    for (const FileKind* kind : all())
        if (kind->recognizes(head)) return *kind;
    if (bytes.empty()) core::fail(ErrorKind::format, "{} is empty; a model file is one of {}", name, known_kinds());
    std::string first;
    for (const std::byte b : head.first(std::min<std::size_t>(head.size(), 8)))
        first += core::format("{}{:02x}", first.empty() ? "" : " ", static_cast<unsigned>(b));
    core::fail(ErrorKind::format, "{} is not a model file: it begins with the bytes {}; known kinds are {}", name, first,
               known_kinds());
}

static std::unique_ptr<File> open_folder(const std::string& path) {
    for (const FileKind* kind : all())
        if (kind->recognizes_folder && kind->recognizes_folder(path)) return kind->open(path);
    core::fail(ErrorKind::format, "{} is a folder, but not of a model: it has no config.json", path);
}

std::unique_ptr<File> open(const std::string& path) {
    if (core::is_folder(path)) return open_folder(path);
    const FileKind* kind = nullptr;
    {
        const core::MappedFile file(path);
        kind = &recognize(file.bytes(), path);
    }
    return kind->open(path);
}

std::unique_ptr<File> open_memory(std::span<const std::byte> bytes, const std::string& name) {
    return recognize(bytes, name).open_memory(bytes, name);
}

const FileKind& kind_for(const std::string& path) {
    const std::string lower = core::lower(path);
    for (const FileKind* kind : all())
        if (lower.size() > kind->extension.size() && lower.ends_with(kind->extension)) return *kind;
    core::fail(ErrorKind::usage, "{}: the extension does not say which kind of file to write; known kinds are {}", path,
               known_kinds());
}

}  // namespace tailor::files
