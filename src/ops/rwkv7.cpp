// The time mixing of RWKV-7 "Goose": a generalized delta rule, in which the memory forgets along one direction and learns
// along another.
//
//     S_t = diag(w_t) S_(t-1) + b_t (a_t^T S_(t-1)) + k_t v_t^T,   y_t = S_t^T r_t
// per head of n values, S with keys down and values across (the paper writes it transposed: S (diag(w) + a b^T) + v k^T). The
// family gives a = -kappa and b = kappa times the in-context learning rate, with kappa of norm 1. Peng et al., "RWKV-7 Goose
// with Expressive Dynamic State Evolution", 2025, equation 17. Decays come as natural logarithms, at least -0.6065.
#include <cmath>

#include "ops/recurrence.h"
#include "ops/recurrence_gradient/rule.h"

namespace tailor::ops::rwkv7_kernels {

static TensorType shape(const NodeView& node) {
    const std::int64_t heads = node.attributes.integer("heads"), width = node.inputs[0].shape.width();
    for (std::size_t i = 0; i < 6; ++i) {
        require_f32(node, i);
        require(node.inputs[i].shape == node.inputs[0].shape, "rwkv7: all inputs must have one shape", node);
    }
    require(heads > 0 && width % heads == 0 && width / heads <= most_key_dim, "rwkv7: r must hold heads of at most 256 values", node);
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
    HeadRows* const operands[] = {&r.q, &r.log_decay, &r.k, &r.v, &r.a, &r.b};
    for (std::size_t i = 0; i < 6; ++i) *operands[i] = head_rows(call.inputs[i], r.heads, n);
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
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.inputs[0].shape.rows(); ++t) {
        std::vector<double> in[6], y(static_cast<std::size_t>(width)), z(y);
        for (std::size_t i = 0; i < 6; ++i) in[i] = row_as_double(call.inputs[i], t);
        const auto& [r, decay, k, v, a, b] = in;
        double* const memory_rows = memory.slot(call.batch.sequences[static_cast<std::size_t>(t)]);
        for (std::int64_t i = 0; i < width; ++i)
            for (std::int64_t j = 0; j < n; ++j) z[static_cast<std::size_t>(i / n * n + j)] += a[static_cast<std::size_t>(i)] * memory_rows[i * n + j];
        for (std::int64_t i = 0; i < width; ++i)
            for (std::int64_t j = 0; j < n; ++j) {
                const auto key = static_cast<std::size_t>(i), value = static_cast<std::size_t>(i / n * n + j);
                double& s = memory_rows[i * n + j];
                s = std::exp(decay[key]) * s + b[key] * z[value] + k[key] * v[value];
                y[value] += r[key] * s;
            }
        store_row(call.output, t, y);
    }
    memory.store();
}

static Cost cost(const NodeView& node) {
    const std::int64_t width = node.inputs[0].shape.width();
    return recurrence_cost(node, width * width / node.attributes.integer("heads"), 5);
}

/// Decays from exp(-0.6065) to 1, a of norm about 1 and b = -a times a rate in (0, 1), as the family has them; otherwise the
/// memory grows without bound.
static void confine(std::span<const core::Tensor> inputs) {
    const core::Tensor &decay = inputs[1], &a = inputs[4], &b = inputs[5];
    const float size = 0.5f / std::sqrt(static_cast<float>(a.shape.width()));
    for (std::int64_t i = 0; i < a.shape.elements(); ++i) {
        decay.row_f32(0)[i] = -0.6065f / (1 + std::exp(decay.row_f32(0)[i]));
        a.row_f32(0)[i] *= size;
        b.row_f32(0)[i] = -a.row_f32(0)[i] / (1 + std::exp(b.row_f32(0)[i]));
    }
}

/// Decays so strong that their products leave the range of quotients; no file has them, but the operator takes them.
static void confine_strongly(std::span<const core::Tensor> inputs) {
    confine(inputs);
    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] *= 20;
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [heads, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 5}, {2, 64}, {1, 100}})
        for (const std::int64_t rows : {1, 4, 7, 16, 37})
            for (const std::int64_t past : {0, 19})
                list.push_back({.inputs = std::vector<TensorType>(6, f32({rows, heads * n})), .attributes = {{"heads", heads}}, .past = past, .confine = rows == 16 ? &confine_strongly : &confine});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t heads = d.attributes.integer("heads");
    return recurrence_gradients(d, {.q = 0, .k = 2, .v = 3, .decay = 1, .a = 4, .b = 5}, d.shape(0).width() / heads, {{"heads", heads}});
}

static const Kernel kernels[] = {
    {.name = "chunks_bf16", .doc = "as chunks, with products of the memory in bf16", .run = {{nullptr, nullptr, &run_pairs}}, .error = pairs_error, .declines = &declines_bf16},
    {.name = "chunks", .doc = "16 rows at a time: products of small matrices and one triangular system", .version = 2, .run = {{&run_chunks}}, .declines = &declines_few_rows},
    {.name = "steps", .doc = "the recurrence, row by row", .run = {{&run_steps}}},
};

}  // namespace tailor::ops::rwkv7_kernels

namespace tailor::ops::entries {
extern const Op rwkv7 = {
    .name = "rwkv7",
    .doc = "r, log decay, k, v, a, b [rows, heads * n] -> [rows, heads * n]: S = diag(exp(decay)) S + b (a^T S) + k v^T, y = S^T r",
    .least_inputs = 6,
    .most_inputs = 6,
    .shape = &rwkv7_kernels::shape,
    .reference = &rwkv7_kernels::reference,
    .kernels = rwkv7_kernels::kernels,
    .cost = &rwkv7_kernels::cost,
    .states = &rwkv7_kernels::states,
    .cases = &rwkv7_kernels::cases,
    .gradient = &rwkv7_kernels::gradient,
};
}  // namespace tailor::ops::entries
