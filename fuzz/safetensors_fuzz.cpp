// libFuzzer target: whatever bytes it is given, the safetensors reader returns a File or throws core::Error.
//
// What opens is used up: every value is printed, every tensor of a known type is read to its last byte, and the file is written
// and read again, which must give the same tensors. Build with the preset `fuzz`; `make fuzz` runs it.
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
    std::fprintf(stderr, "safetensors_fuzz: %s\n", what);
    std::abort();
}

/// A file in memory-backed storage where there is one: a write per input would wear a disk out.
const std::string& scratch_path() {
    static const std::string folder = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    static const std::string path = folder + "/tailor_safetensors_fuzz_" + std::to_string(::getpid()) + ".safetensors";
    return path;
}

/// Every tensor that can be read; integers that do not fit 32 bits and unknown types cannot.
unsigned touch(const File& file, WritePlan& plan, std::vector<tailor::core::Tensor>& tensors) {
    unsigned sum = 0;
    for (const auto& [key, value] : file.metadata().entries()) sum += static_cast<unsigned>(key.size() + value.json(4).text(-1).size());
    for (const TensorInfo& info : file.tensors()) {
        if (!info.format) continue;
        try {
            tensors.push_back(file.read(info));
        } catch (const Error&) {
            continue;
        }
        for (std::uint64_t i = 0; i < info.bytes; ++i) sum += static_cast<unsigned>(tensors.back().data[i]);
        plan.tensors.push_back({info.name, info.format, info.shape});
    }
    return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::unique_ptr<File> file;
    WritePlan plan;
    std::vector<tailor::core::Tensor> tensors;
    try {
        file = kind_for("x.safetensors").open_memory(std::as_bytes(std::span(data, size)), "input");
        static volatile unsigned sink;
        sink = touch(*file, plan, tensors);
    } catch (const Error&) {
        return 0;
    }
    // From here on nothing may fail: what the writer wrote, the reader reads.
    plan.metadata = file->metadata();
    const FileKind& kind = kind_for(scratch_path());
    const std::uint64_t bytes = kind.write(scratch_path(), plan, [&](std::size_t i) { return tensors[i]; });
    require(bytes == kind.written_bytes(plan), "written_bytes() and write() disagree");
    const auto again = open(scratch_path());
    require(again->tensors().size() == tensors.size() && again->metadata().entries().size() == file->metadata().entries().size(), "counts changed");
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const TensorInfo& info = again->tensors()[i];
        require(info.name == plan.tensors[i].name && info.shape == plan.tensors[i].shape && info.format == plan.tensors[i].format, "a tensor changed");
        require(info.bytes == 0 || std::memcmp(again->read(info).data, tensors[i].data, info.bytes) == 0, "a tensor's data changed");
    }
    std::remove(scratch_path().c_str());
    return 0;
}
