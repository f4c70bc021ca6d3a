// The time mixing of RWKV-6 "Finch": linear attention whose decay depends on the input, with a bonus for the present row.
//
//     y_t = (S_(t-1) + diag(u) k_t v_t^T)^T r_t,   S_t = diag(w_t) S_(t-1) + k_t v_t^T
// per head of n values, with w_t the decay of every dimension and u the bonus. Peng et al., "Eagle and Finch: RWKV with
// Matrix-Valued States and Dynamic Recurrence", 2024, equations 19 and 20. Decays come as natural logarithms, which for
// this family are -exp(d). Prompts go in chunks: registry/recurrence.cpp.
#include <cmath>

#include "ops/recurrence.h"
#include "ops/recurrence_gradient/rule.h"

namespace tailor::ops::rwkv6_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 5; ++i) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), width = node.inputs[0].shape.width();
    require(heads > 0 && width % heads == 0 && width / heads <= most_key_dim, "rwkv6: r must hold heads of at most 256 values", node);
    for (std::size_t i = 1; i < 4; ++i) require(node.inputs[i].shape == node.inputs[0].shape, "rwkv6: r, k, v and the decay must have one shape", node);
    require(node.inputs[4].shape.elements() == width, "rwkv6: the bonus must have one value per column", node);
    return node.inputs[0];
}

static std::vector<StateType> states(const NodeView& node, const StateOptions&) {
    const std::int64_t heads = node.attributes.integer("heads"), n = node.inputs[0].shape.width() / heads;
    return matrix_state(heads, n, n);
}

static Recurrence recurrence(const Call& call) noexcept {
    Recurrence r;
    r.heads = call.attributes.integer("heads");
    const std::int64_t n = call.inputs[0].shape.width() / r.heads;
    r.key_dim = r.value_dim = n;
    r.q = head_rows(call.inputs[0], r.heads, n), r.k = head_rows(call.inputs[1], r.heads, n), r.v = head_rows(call.inputs[2], r.heads, n);
    r.log_decay = head_rows(call.inputs[3], r.heads, n);
    r.bonus = call.inputs[4].row_f32(0);
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
    const std::int64_t width = call.inputs[0].shape.width(), n = width / call.attributes.integer("heads");
    const float* const bonus = call.inputs[4].row_f32(0);
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.inputs[0].shape.rows(); ++t) {
        std::vector<double> in[4], y(static_cast<std::size_t>(width));
        for (std::size_t i = 0; i < 4; ++i) in[i] = row_as_double(call.inputs[i], t);
        const auto& [r, k, v, decay] = in;
        for (std::int64_t i = 0; i < width; ++i)
            for (std::int64_t j = 0; j < n; ++j) {
                const auto key = static_cast<std::size_t>(i), value = static_cast<std::size_t>(i / n * n + j);
                double& s = memory.slot(call.batch.sequences[static_cast<std::size_t>(t)])[i * n + j];
                y[value] += r[key] * (s + static_cast<double>(bonus[i]) * k[key] * v[value]);
                s = std::exp(decay[key]) * s + k[key] * v[value];
            }
        store_row(call.output, t, y);
    }
    memory.store();
}

static Cost cost(const NodeView& node) {
    const std::int64_t width = node.inputs[0].shape.width();
    return recurrence_cost(node, width * width / node.attributes.integer("heads"), 3);
}

static void confine(std::span<const core::Tensor> inputs) { make_negative(inputs[3]); }

/// Decays so strong that their products leave the range of quotients.
static void confine_strongly(std::span<const core::Tensor> inputs) {
    confine(inputs);
    for (std::int64_t i = 0; i < inputs[3].shape.elements(); ++i) inputs[3].row_f32(0)[i] *= 12;
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [heads, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 5}, {2, 64}, {1, 100}})
        for (const std::int64_t rows : {1, 4, 7, 16, 37})
            for (const std::int64_t past : {0, 19}) {
                const TensorType row = f32({rows, heads * n});
                list.push_back({.inputs = {row, row, row, row, f32({heads * n})}, .attributes = {{"heads", heads}}, .past = past, .confine = rows == 16 ? &confine_strongly : &confine});
            }
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t heads = d.attributes.integer("heads");
    return recurrence_gradients(d, {.q = 0, .k = 1, .v = 2, .decay = 3, .bonus = 4}, d.shape(0).width() / heads, {{"heads", heads}});
}

static const Kernel kernels[] = {
    {.name = "chunks_bf16", .doc = "as chunks, with products of the memory in bf16", .run = {{nullptr, nullptr, &run_pairs}}, .error = pairs_error, .declines = &declines_bf16},
    {.name = "chunks", .doc = "16 rows at a time as products of small matrices", .version = 2, .run = {{&run_chunks}}, .declines = &declines_few_rows},
    {.name = "steps", .doc = "the recurrence, row by row", .run = {{&run_steps}}},
};

}  // namespace tailor::ops::rwkv6_kernels

namespace tailor::ops::entries {
extern const Op rwkv6 = {
    .name = "rwkv6",
    .doc = "r, k, v, log decay [rows, heads * n], bonus [heads, n] -> [rows, heads * n]: y = (S + diag(bonus) k v^T)^T r, S = diag(exp(decay)) S + k v^T",
    .least_inputs = 5,
    .most_inputs = 5,
    .shape = &rwkv6_kernels::shape,
    .reference = &rwkv6_kernels::reference,
    .kernels = rwkv6_kernels::kernels,
    .cost = &rwkv6_kernels::cost,
    .states = &rwkv6_kernels::states,
    .cases = &rwkv6_kernels::cases,
    .gradient = &rwkv6_kernels::gradient,
};
}  // namespace tailor::ops::entries
