// Look-ups over the table that CMake writes, and packed tensors; see registry.h and format.h.
#include "formats/registry.h"

#include <cstdlib>
#include <cstring>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core/error.h"

namespace tailor::formats {

const Format* find(std::string_view name) {
    for (const Format* format : all())
        if (format->name == name) return format;
    return nullptr;
}

const Format* find_gguf_type(std::int64_t type) {
    for (const Format* format : all())
        if (format->gguf_type == type && type >= 0) return format;
    return nullptr;
}

const Format& get(std::string_view name) {
    if (const Format* format = find(core::lower(name))) return *format;
    std::vector<std::string> names;
    for (const Format* format : all())
        if (format->weights) names.emplace_back(format->name);
    core::fail(core::ErrorKind::usage, "there is no number format '{}'; there are {}", name, core::join(names, ", "));
}

std::int64_t tensor_bytes(const Format& format, const core::Shape& shape) { return shape.rows() * format.row_bytes(shape.width()); }

core::Tensor view(const Format& format, const core::Shape& shape, const void* data) {
    return {&format, shape, static_cast<std::byte*>(const_cast<void*>(data)), format.row_bytes(shape.width()), nullptr};
}

std::shared_ptr<std::byte> allocate(std::int64_t bytes) {
    constexpr std::size_t huge_page = 2u << 20;
    const auto wanted = static_cast<std::size_t>(bytes);
    const std::size_t alignment = wanted >= huge_page ? huge_page : 64;
    void* const memory = std::aligned_alloc(alignment, (wanted + alignment - 1) / alignment * alignment);
    if (!memory) throw std::bad_alloc();
#if defined(__linux__)
    if (alignment == huge_page) madvise(memory, wanted, MADV_HUGEPAGE);
#endif
    return {static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); }};
}

core::Tensor make_tensor(const Format& format, const core::Shape& shape) {
    if (!format.holds(shape.width()))
        core::fail(core::ErrorKind::shape, "rows of {} values cannot be stored as {}: its blocks hold {} values", shape.width(), format.name,
                   format.values_per_block);
    const std::int64_t bytes = (tensor_bytes(format, shape) + 127) / 64 * 64;
    const std::shared_ptr<std::byte> memory = allocate(bytes);
    std::memset(memory.get(), 0, static_cast<std::size_t>(bytes));
    core::Tensor tensor = view(format, shape, memory.get());
    tensor.owner = memory;
    return tensor;
}

}  // namespace tailor::formats
