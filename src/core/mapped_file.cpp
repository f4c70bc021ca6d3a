// POSIX implementation; see mapped_file.h.
#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace tailor::core {

MappedFile::MappedFile(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(ErrorKind::io, "cannot open {}: {}", path, std::strerror(errno));
    struct stat status{};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(fd);
        fail(ErrorKind::io, "cannot map {}: it is not a regular file", path);
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) {
        void* const mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
        const int error = errno;
        ::close(fd);
        if (mapped == MAP_FAILED) fail(ErrorKind::io, "cannot map {}: {}", path, std::strerror(error));
        data_ = static_cast<const std::byte*>(mapped);
    } else {
        ::close(fd);
    }
}

MappedFile::~MappedFile() {
    if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t begin = (offset + page - 1) / page * page, end = (offset + bytes) / page * page;
    if (begin < end && end <= size_) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

bool exists(const std::string& path) noexcept {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0;
}

bool is_folder(const std::string& path) noexcept {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_device(const std::string& path) noexcept {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

bool same_file(const std::string& a, const std::string& b) {
    struct stat first{}, second{};
    const bool has_first = ::stat(a.c_str(), &first) == 0, has_second = ::stat(b.c_str(), &second) == 0;
    if (has_first && has_second) return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    if (has_first || has_second) return false;
    const auto name = [](const std::string& path) { return path.substr(path.find_last_of('/') + 1); };
    return name(a) == name(b) && exists(folder_of(a)) && same_file(folder_of(a), folder_of(b));
}

void page_out(std::span<const std::byte> bytes) noexcept {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto first = reinterpret_cast<std::uintptr_t>(bytes.data());
    const std::uintptr_t begin = (first + page - 1) / page * page, end = (first + bytes.size()) / page * page;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_PAGEOUT);
}

static std::string behind_links(const std::string& path) {
    char* const real = ::realpath(path.c_str(), nullptr);
    std::string result = real ? real : path;
    std::free(real);
    return result;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), target_(behind_links(path_)) {
    if (is_folder(path_)) fail(ErrorKind::io, "cannot write {}: it is a folder", path_);
    if (!is_device(path_)) temporary_ = target_ + ".part-" + std::to_string(::getpid());
    file_ = std::fopen(temporary_.empty() ? path_.c_str() : temporary_.c_str(), "wb");
    if (!file_) fail(ErrorKind::io, "cannot write {}: {}", path_, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
    if (!file_) return;
    std::fclose(file_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
    if (bytes && std::fwrite(data, 1, bytes, file_) != bytes)
        fail(ErrorKind::io, "cannot write {}: {}", path_, std::strerror(errno));
    position_ += bytes;
}

void AtomicFile::commit() {
    const bool beside = !temporary_.empty();
    const bool flushed = std::fflush(file_) == 0 && (!beside || ::fsync(::fileno(file_)) == 0);
    const bool closed = std::fclose(file_) == 0;
    file_ = nullptr;
    if (!flushed || !closed || (beside && std::rename(temporary_.c_str(), target_.c_str()) != 0)) {
        const int error = errno;
        if (beside) ::unlink(temporary_.c_str());
        fail(ErrorKind::io, "cannot write {}: {}", path_, std::strerror(error));
    }
}

std::string read_text_file(const std::string& path) {
    std::FILE* const file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
    if (!file) fail(ErrorKind::io, "cannot open {}: {}", path, std::strerror(errno));
    std::string text;
    char buffer[1 << 16];
    std::size_t got;
    while ((got = std::fread(buffer, 1, sizeof buffer, file)) > 0) text.append(buffer, got);
    const int error = std::ferror(file) != 0 ? errno : 0;
    if (file != stdin) std::fclose(file);
    if (error == EINTR) check_interrupt();
    if (error) fail(ErrorKind::io, "cannot read {}: {}", path, std::strerror(error));
    return text;
}

void write_text_file(const std::string& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text.data(), text.size());
    file.commit();
}

}  // namespace tailor::core
