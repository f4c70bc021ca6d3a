// The file of values that do not stay in memory; see saving.h.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "graph/saving.h"

namespace tailor::graph {

using core::ErrorKind;
using core::fail;

SpillFile::SpillFile(const std::string& folder) : folder_(folder) {
    if (folder_.empty()) {
        const char* const given = std::getenv("TMPDIR");
        folder_ = given && *given ? given : "/var/tmp";  // /tmp may be memory
    }
    descriptor_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor_ >= 0) return;
    // Not every file system makes files without a name; then the name lives for a moment.
    std::string name = folder_ + "/tailor-spill-XXXXXX";
    descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor_ < 0) fail(ErrorKind::io, "{}: no file for values of the way forth can be made there: {}; --spill-folder names another folder", folder_, std::strerror(errno));
    ::unlink(name.c_str());
}

SpillFile::~SpillFile() { ::close(descriptor_); }

std::int64_t SpillFile::reserve(std::int64_t bytes) {
    constexpr std::int64_t page = 4096;
    const std::int64_t offset = bytes_, rounded = (bytes + page - 1) / page * page;
    if (const int error = ::posix_fallocate(descriptor_, offset, rounded); error != 0)
        fail(ErrorKind::io, "{}: no room for {} of values of the way forth: {}; --spill-folder names another folder", folder_, core::human_bytes(static_cast<double>(bytes_ + rounded)),
             std::strerror(error));
    bytes_ += rounded;
    return offset;
}

}  // namespace tailor::graph
