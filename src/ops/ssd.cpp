// SSD: the state-space layer of Mamba-2, whose transition is one number per head.
//
//     h_t = exp(dt_t A) h_(t-1) + dt_t B_t x_t^T,   y_t = h_t^T C_t + D x_t
// for every head with h [state, head_dim]; B and C are shared by the heads of a group. Dao and Gu, "Transformers are SSMs",
// 2024: equation 1 with the scalar transition of section 5, computed in chunks by the duality of section 6 (h is a linear
// attention with keys B, queries C and values dt x), see registry/recurrence.cpp. dt comes after its softplus, A is negative.
#include <cmath>

#include "ops/recurrence.h"
#include "ops/recurrence_gradient/rule.h"

namespace tailor::ops::ssd_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 5; ++i) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), groups = node.attributes.integer("groups");
    const std::int64_t rows = node.inputs[0].shape.rows(), width = node.inputs[0].shape.width();
    require(heads > 0 && groups > 0 && heads % groups == 0, core::format("ssd: {} heads in {} groups", heads, groups), node);
    require(width % heads == 0, "ssd: the width of x must be a multiple of the heads", node);
    require(node.inputs[1].shape == core::Shape({rows, heads}), "ssd: dt must be [rows, heads]", node);
    require(node.inputs[2].shape.elements() == heads, "ssd: A must have one value per head", node);
    const core::Shape& b = node.inputs[3].shape;
    require(b.rows() == rows && b.width() % groups == 0 && b.width() / groups <= most_key_dim, "ssd: B must be [rows, groups * state] with a state of at most 256", node);
    require(node.inputs[4].shape == b, "ssd: C must have the shape of B", node);
    if (node.input(5)) require_f32(node, 5), require(node.inputs[5].shape.elements() == heads, "ssd: D must have one value per head", node);
    return node.inputs[0];
}

static std::int64_t state_dim(const Attributes& a, const core::Shape& b) { return b.width() / a.integer("groups"); }

static std::vector<StateType> states(const NodeView& node, const StateOptions&) {
    const std::int64_t heads = node.attributes.integer("heads");
    return matrix_state(heads, state_dim(node.attributes, node.inputs[3].shape), node.inputs[0].shape.width() / heads);
}

static Recurrence recurrence(const Call& call) noexcept {
    Recurrence r;
    r.heads = call.attributes.integer("heads");
    r.key_dim = state_dim(call.attributes, call.inputs[3].shape), r.value_dim = call.inputs[0].shape.width() / r.heads;
    r.v = head_rows(call.inputs[0], r.heads, r.value_dim);
    r.log_decay = r.value_scale = head_rows(call.inputs[1], r.heads, 1);
    r.rate = call.inputs[2].row_f32(0);
    r.k = head_rows(call.inputs[3], r.heads, r.key_dim), r.q = head_rows(call.inputs[4], r.heads, r.key_dim);
    r.skip = call.input(5) ? call.input(5)->row_f32(0) : nullptr;
    return r;
}

static void run_chunks(const Call& call) noexcept { run_recurrence.at(call.isa)(call, recurrence(call), least_chunk_rows); }
static void run_steps(const Call& call) noexcept { run_recurrence.at(call.isa)(call, recurrence(call), INT64_MAX); }
static void run_pairs(const Call& call) noexcept {
    Recurrence r = recurrence(call);
    r.bf16 = true;
    run_recurrence.at(call.isa)(call, r, least_chunk_rows);
}
static std::string declines_bf16(const NodeView& node) { return declines_pairs(node, states(node, {})[0].shape[1]); }

static void reference(const Call& call) {
    const std::int64_t heads = call.attributes.integer("heads"), share = heads / call.attributes.integer("groups");
    const std::int64_t n = state_dim(call.attributes, call.inputs[3].shape), width = call.inputs[0].shape.width() / heads;
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.inputs[0].shape.rows(); ++t) {
        const std::vector<double> x = row_as_double(call.inputs[0], t), dt = row_as_double(call.inputs[1], t);
        const std::vector<double> b = row_as_double(call.inputs[3], t), c = row_as_double(call.inputs[4], t);
        std::vector<double> y(x.size());
        for (std::int64_t column = 0; column < heads * width; ++column) {
            const std::int64_t head = column / width;
            const auto at = static_cast<std::size_t>(column);
            const double step = dt[static_cast<std::size_t>(head)], keep = std::exp(step * static_cast<double>(call.inputs[2].row_f32(0)[head]));
            double* const h = memory.slot(call.batch.sequences[static_cast<std::size_t>(t)]) + head * n * width + column % width;
            for (std::int64_t i = 0; i < n; ++i) {
                const auto from = static_cast<std::size_t>(head / share * n + i);
                h[i * width] = keep * h[i * width] + step * b[from] * x[at];
                y[at] += h[i * width] * c[from];
            }
            if (call.input(5)) y[at] += static_cast<double>(call.input(5)->row_f32(0)[head]) * x[at];
        }
        store_row(call.output, t, y);
    }
    memory.store();
}

static Cost cost(const NodeView& node) { return recurrence_cost(node, node.inputs[0].shape.width() * state_dim(node.attributes, node.inputs[3].shape), 3); }

/// Positive steps and negative A.
static void confine(std::span<const core::Tensor> inputs) {
    make_negative(inputs[2]);
    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] = 0.2f * std::fabs(inputs[1].row_f32(0)[i]);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Sizes = std::array<std::int64_t, 4>;  // heads, groups, width of a head, state
    for (const auto& [heads, groups, width, n] : {Sizes{1, 1, 1, 1}, {6, 2, 5, 7}, {4, 1, 64, 128}, {2, 2, 80, 16}, {3, 1, 33, 256}})
        for (const std::int64_t rows : {1, 4, 7, 16, 37})
            for (const std::int64_t past : {0, 19})
                list.push_back({.inputs = {f32({rows, heads * width}), f32({rows, heads}), f32({heads}), f32({rows, groups * n}), f32({rows, groups * n}),
                                           past ? f32({heads}) : TensorType{}},
                                .attributes = {{"heads", heads}, {"groups", groups}}, .past = past, .confine = &confine});
    return list;
}

// The step is decay and scale of the values at once, and gets what both hand back.
static std::vector<Value> gradient(const Differentiation& d) {
    return recurrence_gradients(d, {.q = 4, .k = 3, .v = 0, .decay = 1, .rate = 2, .value_scale = 1, .skip = 5}, state_dim(d.attributes, d.shape(3)),
                                {{"heads", d.attributes.integer("heads")}});
}

static const Kernel kernels[] = {
    {.name = "chunks_bf16", .doc = "as chunks, with products of the memory in bf16", .run = {{nullptr, nullptr, &run_pairs}}, .error = pairs_error, .declines = &declines_bf16},
    {.name = "chunks", .doc = "16 rows at a time as products of small matrices", .version = 2, .run = {{&run_chunks}}, .declines = &declines_few_rows},
    {.name = "steps", .doc = "the recurrence, row by row", .run = {{&run_steps}}},
};

}  // namespace tailor::ops::ssd_kernels

namespace tailor::ops::entries {
extern const Op ssd = {
    .name = "ssd",
    .doc = "x [rows, heads * p], dt [rows, heads], A [heads], B, C [rows, groups * n], optional D [heads] -> [rows, heads * p]: "
           "h = exp(dt A) h + dt B x^T, y = h^T C + D x",
    .least_inputs = 5,
    .most_inputs = 6,
    .shape = &ssd_kernels::shape,
    .reference = &ssd_kernels::reference,
    .kernels = ssd_kernels::kernels,
    .cost = &ssd_kernels::cost,
    .states = &ssd_kernels::states,
    .cases = &ssd_kernels::cases,
    .gradient = &ssd_kernels::gradient,
};
}  // namespace tailor::ops::entries
