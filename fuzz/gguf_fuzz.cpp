// libFuzzer target: whatever bytes it is given, the GGUF reader returns a File or throws core::Error.
//
// What opens is used up: every value is printed, the first and last byte of every tensor is read, and the file is written
// and read again, which must give the same keys and tensors. Build with the preset `fuzz`; `make fuzz` runs it.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"

namespace {

using tailor::core::Error;
using namespace tailor::files;

/// The property `what` was broken: stop, so that libFuzzer keeps the input.
void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "gguf_fuzz: %s\n", what);
    std::abort();
}

/// A file in memory-backed storage where there is one: a write per input would wear a disk out.
const std::string& scratch_path() {
    static const std::string folder = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    static const std::string path = folder + "/tailor_gguf_fuzz_" + std::to_string(::getpid()) + ".gguf";
    return path;
}

unsigned touch(const File& file) {
    unsigned sum = 0;
    for (const auto& [key, value] : file.metadata().entries())
        sum += static_cast<unsigned>(key.size() + value.json(4).text(-1).size());
    for (const TensorInfo& info : file.tensors()) {
        require(info.offset <= file.bytes() && info.bytes <= file.bytes() - info.offset, "a tensor lies outside the file");
        if (!info.format) continue;
        const auto tensor = file.read(info);
        sum += static_cast<unsigned>(tensor.data[0]) + static_cast<unsigned>(tensor.data[info.bytes - 1]);
    }
    return sum;
}

/// The bytes that writing `file` gives; throws Error if it holds what cannot be written (unknown formats, long names).
std::string written(const File& file) {
    WritePlan plan;
    plan.metadata = file.metadata();
    for (const TensorInfo& info : file.tensors()) plan.tensors.push_back({info.name, info.format, info.shape});
    const FileKind& kind = kind_for(scratch_path());
    const auto size = kind.write(scratch_path(), plan, [&](std::size_t i) { return file.read(file.tensors()[i]); });
    require(size == kind.written_bytes(plan), "written_bytes() and write() disagree");
    std::string bytes = tailor::core::read_text_file(scratch_path());
    std::remove(scratch_path().c_str());
    require(bytes.size() == size, "write() returned another size than it wrote");
    return bytes;
}

void check_same(const File& a, const File& b) {
    require(a.metadata().entries().size() == b.metadata().entries().size() && a.tensors().size() == b.tensors().size(),
            "counts changed");
    for (std::size_t i = 0; i < a.tensors().size(); ++i) {
        const TensorInfo &x = a.tensors()[i], &y = b.tensors()[i];
        require(x.name == y.name && x.shape == y.shape && x.format == y.format, "a tensor changed");
        require(std::memcmp(a.read(x).data, b.read(y).data, x.bytes) == 0, "a tensor's data changed");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::unique_ptr<File> file;
    std::string once;
    try {
        file = kind_for("x.gguf").open_memory(std::as_bytes(std::span(data, size)), "input");
        static volatile unsigned sink;
        sink = touch(*file);
        once = written(*file);
    } catch (const Error&) {
        return 0;
    }
    // From here on nothing may fail: what the writer wrote, the reader reads.
    const auto again = open_memory(std::as_bytes(std::span(once)), "rewritten");
    check_same(*file, *again);
    require(written(*again) == once, "writing twice gives different files");
    return 0;
}
