// Containers: a file of named tensors and metadata, read lazily and written as a stream.
//
// A kind of container is one file src/files/<name>.cpp that defines `extern const FileKind <name>` in namespace
// tailor::files::entries. Reading maps the file and checks every count and offset before it is used; tensor data is
// touched only when read. Writing takes tensors one at a time, so that peak memory is one tensor.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "files/metadata.h"
#include "formats/format.h"

namespace tailor::files {

struct TensorInfo {
    std::string name;
    const formats::Format* format = nullptr;  ///< nullptr: a type this build does not know; see `type_name`
    std::string type_name;                    ///< what the file calls it: "Q4_K", "type 19"
    core::Shape shape;                        ///< outermost first
    std::uint64_t offset = 0;                 ///< of the data, from the start of the file; 0 if it is not there as it is read
    std::uint64_t bytes = 0;                  ///< as read() gives it; 0 if the format is not known
};

/// An open model file.
class File {
  public:
    virtual ~File() = default;
    const std::string& path() const { return path_; }
    const Metadata& metadata() const { return metadata_; }
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    /// nullptr when missing.
    const TensorInfo* find(std::string_view tensor) const;
    /// The tensor's data: a view that stays valid while the File lives, or a tensor that owns its memory.
    /// Throws Error(unsupported) naming file, tensor and type if the format is unknown.
    virtual core::Tensor read(const TensorInfo& tensor) const = 0;
    /// A hint that the tensor's data is not needed soon: pages of a mapped file go back to the system and are read again
    /// when a view touches them. Views stay valid.
    virtual void release(const TensorInfo&) const {}
    /// Bytes of the whole file.
    virtual std::uint64_t bytes() const = 0;

  protected:
    std::string path_;
    Metadata metadata_;
    std::vector<TensorInfo> tensors_;
};

/// What will be written: the list is fixed before the first byte, so that offsets are known.
struct WritePlan {
    Metadata metadata;
    struct Entry {
        std::string name;
        const formats::Format* format;
        core::Shape shape;
    };
    std::vector<Entry> tensors;
};

/// Gives the packed data of tensor `index` of the plan, in its format; called once per tensor, in order.
using TensorSource = std::function<core::Tensor(std::size_t index)>;

struct FileKind {
    std::string_view name;       ///< "gguf"
    std::string_view extension;  ///< ".gguf"
    std::string_view doc;
    /// True if these first bytes (at most 64) look like this kind.
    bool (*recognizes)(std::span<const std::byte> head);
    /// Opens a path; throws Error(io) or Error(format) naming the path and what is wrong.
    std::unique_ptr<File> (*open)(const std::string& path);
    /// Opens a file that is already in memory (and outlives the File); `path` is only a name for messages.
    std::unique_ptr<File> (*open_memory)(std::span<const std::byte> bytes, const std::string& path);
    /// Writes beside `path` and renames; returns the size in bytes.
    std::uint64_t (*write)(const std::string& path, const WritePlan& plan, const TensorSource& source);
    /// The exact size in bytes that write() would produce.
    std::uint64_t (*written_bytes)(const WritePlan& plan);
    /// True if this folder is a model that open() takes; nullptr: this kind is never a folder.
    bool (*recognizes_folder)(const std::string& path) = nullptr;
};

}  // namespace tailor::files
