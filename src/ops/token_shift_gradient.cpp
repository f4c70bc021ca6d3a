// Token shift gradient: each row's successor in its sequence, zeros after the last.
//
// The transpose of `token_shift`: a row is read as the predecessor of the next one. For whole sequences, without a state.
#include <cstring>

#include "ops/sequences.h"

namespace tailor::ops::token_shift_gradient_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    return node.inputs[0];
}

static std::int64_t scratch_bytes(const NodeView& node) { return sequence_rows_bytes(node.inputs[0].shape.rows()); }

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    for_each_sequence(call, call.output.shape.rows(), call.scratch, [&](std::span<const std::int32_t> rows) {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            float* const y = call.output.row_f32(rows[i]);
            if (i + 1 < rows.size()) std::memcpy(y, call.inputs[0].row_f32(rows[i + 1]), static_cast<std::size_t>(width) * sizeof(float));
            else std::memset(y, 0, static_cast<std::size_t>(width) * sizeof(float));
        }
    });
}

static void reference(const Call& call) {
    const std::int64_t rows = call.output.shape.rows();
    for (std::int64_t r = 0; r < rows; ++r) {
        std::int64_t next = r + 1;
        while (next < rows && call.batch.sequences[static_cast<std::size_t>(next)] != call.batch.sequences[static_cast<std::size_t>(r)]) ++next;
        store_row(call.output, r, next < rows ? row_as_double(call.inputs[0], next) : std::vector<double>(static_cast<std::size_t>(call.output.shape.width())));
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 0); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t width : {1, 37, 5000})
        for (const std::int64_t rows : {1, 3, 70}) list.push_back({.inputs = {f32({rows, width})}, .tolerance = 0});
    return list;
}

static const Kernel kernels[] = {{.name = "copy", .doc = "copies each row's successor", .run = {{&run}}}};

}  // namespace tailor::ops::token_shift_gradient_kernels

namespace tailor::ops::entries {
extern const Op token_shift_gradient = {
    .name = "token_shift_gradient",
    .doc = "x [rows, width] -> [rows, width]: the row after each row in its sequence, zeros after the last",
    .shape = &token_shift_gradient_kernels::shape,
    .reference = &token_shift_gradient_kernels::reference,
    .kernels = token_shift_gradient_kernels::kernels,
    .cost = &token_shift_gradient_kernels::cost,
    .scratch_bytes = &token_shift_gradient_kernels::scratch_bytes,
    .cases = &token_shift_gradient_kernels::cases,
    .not_differentiable = "it is a derivative; what it is the transpose of, token_shift, keeps a state",
};
}  // namespace tailor::ops::entries
