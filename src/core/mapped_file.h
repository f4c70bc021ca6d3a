// Read-only memory-mapped files, whole-file reading, and writing that never leaves half a file behind.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace tailor::core {

/// A file mapped read-only; pages are read when touched. Movable; unmapped when destroyed.
class MappedFile {
  public:
    /// Throws Error(io) naming the path.
    explicit MappedFile(const std::string& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::byte> bytes() const { return {data_, size_}; }
    /// Gives the whole pages inside a range back to the system; they are read again when touched.
    void release(std::uint64_t offset, std::uint64_t bytes) const noexcept;

  private:
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Whether there is a file or folder of this name, or a folder.
bool exists(const std::string& path) noexcept;
bool is_folder(const std::string& path) noexcept;
/// Whether something of this name takes what is written and keeps no file: a device, a pipe.
bool is_device(const std::string& path) noexcept;
/// The folder that a path lies in; "." where it names none.
std::string folder_of(const std::string& path);
/// Whether two paths name the same file or folder, by links or by other words; also where there is none yet.
bool same_file(const std::string& a, const std::string& b);

/// Takes whole pages inside memory that a file stands behind out of this process; they are read again when touched. Other memory stays.
void page_out(std::span<const std::byte> bytes) noexcept;

/// A file written beside its destination and renamed over it by commit(); if it is destroyed before, it is removed, so
/// an error or Ctrl-C leaves the old file as it was. Of a link the file behind it is replaced; devices and pipes are written to.
class AtomicFile {
  public:
    /// Creates `path` + ".part-<pid>"; throws Error(io) naming the path, also where it is a folder.
    explicit AtomicFile(std::string path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* data, std::size_t bytes);
    std::uint64_t position() const { return position_; }
    /// Flushes to disk and renames; throws Error(io) and removes the temporary file if that fails.
    void commit();

  private:
    std::string path_, target_, temporary_;  ///< no temporary: a device or pipe
    std::FILE* file_ = nullptr;
    std::uint64_t position_ = 0;
};

/// The content of a file, or of standard input for "-". Throws Error(io) naming the path.
std::string read_text_file(const std::string& path);
/// Writes through AtomicFile.
void write_text_file(const std::string& path, std::string_view text);

}  // namespace tailor::core
