// Spill: a value goes to a file, and its memory is free until fetch reads it back.
//
// The file's space was taken before (graph::SpillFile), so a write fails only with the disk. Writing back begins at once, so that
// the pages are clean, and can be dropped, when memory is short. Rajbhandari et al., "ZeRO-Infinity", 2021, section 5, keep activations on disk.
#include <fcntl.h>

#include "ops/spill_file.h"

namespace tailor::ops::spill_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require(node.attributes.integer("offset") >= 0, "spill: an offset is needed", node);
    return i32({1});
}

static void run(const Call& call) noexcept {
    const auto file = static_cast<int>(call.attributes.integer("file"));
    const std::int64_t offset = call.attributes.integer("offset"), bytes = 4 * call.inputs[0].shape.elements();
    const std::byte* const from = call.inputs[0].data;
    const bool whole = spilling::move_all(bytes, [&](std::int64_t at, std::size_t left) { return static_cast<std::int64_t>(::pwrite(file, from + at, left, offset + at)); });
    if (whole) ::sync_file_range(file, offset, bytes, SYNC_FILE_RANGE_WRITE);
    call.output.row_i32(0)[0] = whole ? 0 : 1;
}

static Cost cost(const NodeView& node) {
    const double bytes = 4 * static_cast<double>(node.inputs[0].shape.elements());
    return {.bytes_read = bytes, .bytes_written = spilling::cost_of_byte * bytes};
}

static std::vector<Case> cases() { return {{.inputs = {f32({5, 70})}, .attributes = {{"file", spilling::test_file()}, {"offset", std::int64_t{65536}}}, .tolerance = 0}}; }

static const Kernel kernels[] = {{.name = "file", .doc = "written where it lies in the file, the disk begins at once", .run = {{&run}}}};

}  // namespace tailor::ops::spill_kernels

namespace tailor::ops::entries {
extern const Op spill = {
    .name = "spill",
    .doc = "x of any shape, attributes file (descriptor) and offset -> [1] i32: x is in the file; 0, or 1 where that failed",
    .shape = &spill_kernels::shape,
    .reference = [](const Call& call) { spill_kernels::run(call); },
    .kernels = spill_kernels::kernels,
    .cost = &spill_kernels::cost,
    .cases = &spill_kernels::cases,
    .not_differentiable = "its result says whether a file was written",
};
}  // namespace tailor::ops::entries
