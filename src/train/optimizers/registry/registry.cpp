// Finding an optimizer by name, and the memory of what it remembers; see registry.h and optimizer.h.
#include "train/optimizers/registry.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "formats/format.h"
#include "graph/saving.h"

namespace tailor::train::optimizers {

State::State(std::span<const StatePart> parts) {
    for (const StatePart& part : parts) {
        names_.push_back(part.name), sizes_.push_back(static_cast<std::size_t>(part.bytes));
        parts_.push_back(formats::allocate(part.bytes));
        std::memset(parts_.back().get(), 0, sizes_.back());
    }
}

void State::move_to_disk(const std::string& folder) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        const std::size_t bytes = sizes_[i];
        if (bytes == 0) continue;
        graph::SpillFile file(folder);
        file.reserve(static_cast<std::int64_t>(bytes));
        // The mapping keeps the file when its descriptor is closed.
        void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
        if (memory == MAP_FAILED) core::fail(core::ErrorKind::io, "a file of {} bytes for what an optimizer remembers cannot be mapped: {}", bytes, std::strerror(errno));
        std::memcpy(memory, parts_[i].get(), bytes);
        parts_[i] = std::shared_ptr<std::byte>(static_cast<std::byte*>(memory), [bytes](std::byte* p) { ::munmap(p, bytes); });
    }
    on_disk_ = true;
    rest();
}

void State::rest() {
    for (std::size_t i = 0; i < parts_.size() && on_disk_; ++i)
        if (sizes_[i] > 0) ::madvise(parts_[i].get(), sizes_[i], MADV_DONTNEED);
}

std::string names() {
    std::vector<std::string> list;
    for (const Optimizer* optimizer : all()) list.emplace_back(optimizer->name);
    return core::join(list, ", ");
}

const Optimizer& get(std::string_view name) {
    for (const Optimizer* optimizer : all())
        if (optimizer->name == name) return *optimizer;
    core::fail(core::ErrorKind::usage, "there is no optimizer '{}'; there are: {}", name, names());
}

}  // namespace tailor::train::optimizers
