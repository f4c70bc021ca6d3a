// Gather: the rows of a table named by ids; token embedding, and the choice of rows whose logits are wanted.
//
// The table may have any format: only the rows that are asked for are decoded, so an embedding of 128,000 tokens costs
// nothing until a token is used.
#include <algorithm>

#include "formats/panels.h"
#include "ops/support.h"

namespace tailor::ops::gather_kernels {

static TensorType shape(const NodeView& node) {
    require(node.inputs[0].shape.rank() == 2, "gather: the table must be a matrix", node);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.rank() == 1, "gather: the ids must be an i32 vector", node);
    return f32({node.inputs[1].shape[0], node.inputs[0].shape.width()});
}

static void gather_at(const Call& call, cpu::Isa level) noexcept {
    const core::Tensor &table = call.inputs[0], &y = call.output;
    const formats::Decode decode = table.format->decode.at(level);
    const std::int32_t* const ids = call.inputs[1].row_i32(0);
    const std::int64_t rows = y.shape.rows(), width = y.shape.width(), chunk = rows_per_chunk(width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            if (table.layout == core::Layout::rows) decode(table.row(ids[r]), y.row_f32(r), width);
            else formats::decode_row(table, ids[r], y.row_f32(r));
        }
    });
}

static void run(const Call& call) noexcept { gather_at(call, call.isa); }

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r)
        store_row(call.output, r, row_as_double(call.inputs[0], call.inputs[1].row_i32(0)[r]));
}

static Cost cost(const NodeView& node) {
    const auto rows = static_cast<double>(node.output.shape.rows());
    const double row_bytes = static_cast<double>(node.inputs[0].format->row_bytes(node.output.shape.width()));
    return {.bytes_read = rows * row_bytes, .bytes_written = static_cast<double>(node.output.shape.elements()) * 4};
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const formats::Format* format : formats::all())
        for (const core::Layout layout : {core::Layout::rows, core::Layout::panels})
            if (layout == core::Layout::rows ? format->weights : formats::has_panels(*format))
                for (const std::int64_t rows : {1, 5})
                    list.push_back({.inputs = {{format, {19, 2 * format->values_per_block}, layout}, i32({rows})}, .index_limit = 19, .tolerance = 0});
    return list;
}

// Only a table in f32 is asked for its gradient; the rows of ids that came several times add up.
static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("scatter_add", {d.gradient, d.input(1)}, {{"rows", d.shape(0).rows()}}), -1}; }

static const Kernel kernels[] = {{.name = "rows", .doc = "decodes each asked row", .run = {{&run}}}};

}  // namespace tailor::ops::gather_kernels

namespace tailor::ops::entries {
extern const Op gather = {
    .name = "gather",
    .doc = "table [n, width] of any format, ids [rows] i32 -> [rows, width]: table[ids[r]]",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &gather_kernels::shape,
    .reference = &gather_kernels::reference,
    .kernels = gather_kernels::kernels,
    .cost = &gather_kernels::cost,
    .panel_inputs = 1,
    .cases = &gather_kernels::cases,
    .gradient = &gather_kernels::gradient,
};
}  // namespace tailor::ops::entries
