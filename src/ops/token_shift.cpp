// Token shift: each row's predecessor in its sequence, zeros before the first.
//
// RWKV mixes every row with the one before it ahead of each projection (Peng et al., "RWKV", 2023, section 3.1.1): a causal
// convolution of two taps whose weights depend on the column or the input. This operator delivers the row before, the family
// mixes. The state is the last row of each sequence.
#include "ops/windows.h"

namespace tailor::ops::token_shift_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    return node.inputs[0];
}

static std::vector<StateType> states(const NodeView& node, const StateOptions&) { return window_state(1, node.inputs[0].shape.width()); }

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width(), rows = call.output.shape.rows(), chunk = rows_per_chunk(width);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            std::memcpy(call.output.row_f32(r), row_before(call, r, 1), static_cast<std::size_t>(width) * sizeof(float));
    });
    slide_windows(call);
}

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        float* const last = window_row(call.states[0], call.batch.sequences[static_cast<std::size_t>(r)], 0);
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        store_row(call.output, r, {last, last + call.output.shape.width()});
        for (std::size_t i = 0; i < x.size(); ++i) last[i] = static_cast<float>(x[i]);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 0); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t width : {1, 37, 5000})
        for (const std::int64_t rows : {1, 3, 70})
            for (const std::int64_t past : {0, 2}) list.push_back({.inputs = {f32({rows, width})}, .past = past, .tolerance = 0});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("token_shift_gradient", {d.gradient})}; }

static const Kernel kernels[] = {{.name = "copy", .doc = "copies each row's predecessor", .run = {{&run}}}};

}  // namespace tailor::ops::token_shift_kernels

namespace tailor::ops::entries {
extern const Op token_shift = {
    .name = "token_shift",
    .doc = "x [rows, width] -> [rows, width]: the row before each row in its sequence, zeros before the first",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &token_shift_kernels::shape,
    .reference = &token_shift_kernels::reference,
    .kernels = token_shift_kernels::kernels,
    .cost = &token_shift_kernels::cost,
    .states = &token_shift_kernels::states,
    .cases = &token_shift_kernels::cases,
    .gradient = &token_shift_kernels::gradient,
};
}  // namespace tailor::ops::entries
