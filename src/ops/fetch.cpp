// Fetch: reads back what spill wrote, and asks for what will be wanted next.
//
// The way back wants values in the reverse of the order in which the way forth wrote them, so the stretch before this one is read ahead by
// the system. Pages that were read are given up: no step reads them twice. What cannot be read is not a number, which stops a training.
#include <fcntl.h>

#include <algorithm>
#include <limits>

#include "ops/spill_file.h"

namespace tailor::ops::fetch_kernels {

static TensorType shape(const NodeView& node) {
    require(node.inputs[0].format->name == "i32", "fetch: the result of spill is needed", node);
    core::Shape shape;
    for (std::int64_t i = 0; i < node.attributes.integer("rank"); ++i) shape.append(node.attributes.integer(core::format("dimension_{}", i)));
    return f32(shape);
}

static void run(const Call& call) noexcept {
    constexpr std::int64_t ahead = std::int64_t{16} << 20;  // a layer's values of a small model
    const auto file = static_cast<int>(call.attributes.integer("file"));
    const std::int64_t offset = call.attributes.integer("offset"), bytes = 4 * call.output.shape.elements(), before = std::max<std::int64_t>(0, offset - ahead);
    std::byte* const to = call.output.data;
    if (before < offset) ::posix_fadvise(file, before, offset - before, POSIX_FADV_WILLNEED);
    const bool whole = call.inputs[0].row_i32(0)[0] == 0 &&
                       spilling::move_all(bytes, [&](std::int64_t at, std::size_t left) { return static_cast<std::int64_t>(::pread(file, to + at, left, offset + at)); });
    ::posix_fadvise(file, offset, bytes, POSIX_FADV_DONTNEED);
    if (!whole) std::fill_n(call.output.row_f32(0), call.output.shape.elements(), std::numeric_limits<float>::quiet_NaN());
}

static Cost cost(const NodeView& node) {
    const double bytes = 4 * static_cast<double>(node.output.shape.elements());
    return {.bytes_read = spilling::cost_of_byte * bytes, .bytes_written = bytes};
}

static std::vector<Case> cases() {
    return {{.inputs = {i32({1})},
             .attributes = {{"file", spilling::test_file()}, {"offset", std::int64_t{256}}, {"rank", std::int64_t{2}}, {"dimension_0", std::int64_t{5}}, {"dimension_1", std::int64_t{70}}},
             .index_limit = 1,
             .tolerance = 0}};
}

static const Kernel kernels[] = {{.name = "file", .doc = "read from where it lies in the file, what comes before it asked for", .run = {{&run}}}};

}  // namespace tailor::ops::fetch_kernels

namespace tailor::ops::entries {
extern const Op fetch = {
    .name = "fetch",
    .doc = "the result of spill, attributes file, offset, rank, dimension_0 to dimension_3 -> the numbers in that shape",
    .shape = &fetch_kernels::shape,
    .reference = [](const Call& call) { fetch_kernels::run(call); },
    .kernels = fetch_kernels::kernels,
    .cost = &fetch_kernels::cost,
    .cases = &fetch_kernels::cases,
    .not_differentiable = "it reads a file",
};
}  // namespace tailor::ops::entries
