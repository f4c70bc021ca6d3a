// All containers of this build.
#pragma once
#include "files/file.h"

namespace tailor::files {

std::span<const FileKind* const> all();
/// Opens a model file of any registered kind, recognized by its first bytes, or a folder that is a model.
/// Throws Error(io) if it cannot be read, Error(format) naming the known kinds if it is none of them.
std::unique_ptr<File> open(const std::string& path);
std::unique_ptr<File> open_memory(std::span<const std::byte> bytes, const std::string& name);
/// The kind that writes this path, by its extension; Error(usage) naming the known ones.
const FileKind& kind_for(const std::string& path);

}  // namespace tailor::files
