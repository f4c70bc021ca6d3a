// Linear attention with decay: attention without softmax, so that the past fits a matrix per head.
//
//     S_t = diag(w_t) S_(t-1) + k_t v_t^T,   y_t = scale S_t^T q_t
// Without decay: Katharopoulos et al., "Transformers are RNNs", 2020, equations 18 to 20 (without the normalizer). One constant
// decay per head: RetNet (Sun et al., 2023) and Lightning Attention-2 (Qin et al., 2024). Per row: gated linear attention (Yang
// et al., 2024, equation 3), per head or per dimension of the key. Decays come as natural logarithms. Prompts go in chunks,
// intra- and inter-chunk parts as matrix products, as Lightning Attention-2's tiles do: registry/recurrence.cpp.
#include <cmath>

#include "ops/recurrence.h"
#include "ops/recurrence_gradient/rule.h"

namespace tailor::ops::linear_attention_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 3; ++i) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), rows = node.inputs[0].shape.rows(), width = node.inputs[0].shape.width();
    require(heads > 0 && width % heads == 0 && width / heads <= most_key_dim, "linear_attention: q must hold heads of at most 256 values", node);
    require(node.inputs[1].shape == node.inputs[0].shape, "linear_attention: k must have the shape of q", node);
    require(node.inputs[2].shape.rows() == rows && node.inputs[2].shape.width() % heads == 0, "linear_attention: v must be [rows, heads * value_dim]", node);
    if (node.input(3)) {
        require_f32(node, 3);
        const core::Shape& decay = node.inputs[3].shape;
        require(decay == core::Shape{heads} || (decay.rows() == rows && (decay.width() == heads || decay.width() == width)),
                "linear_attention: the decay must be [heads], [rows, heads] or [rows, heads * key_dim]", node);
    }
    return f32({rows, node.inputs[2].shape.width()});
}

static std::vector<StateType> states(const NodeView& node, const StateOptions&) {
    const std::int64_t heads = node.attributes.integer("heads");
    return matrix_state(heads, node.inputs[0].shape.width() / heads, node.inputs[2].shape.width() / heads);
}

static Recurrence recurrence(const Call& call) noexcept {
    Recurrence r;
    r.heads = call.attributes.integer("heads");
    r.key_dim = call.inputs[0].shape.width() / r.heads, r.value_dim = call.inputs[2].shape.width() / r.heads;
    r.q = head_rows(call.inputs[0], r.heads, r.key_dim), r.k = head_rows(call.inputs[1], r.heads, r.key_dim), r.v = head_rows(call.inputs[2], r.heads, r.value_dim);
    if (const core::Tensor* const decay = call.input(3)) {
        r.log_decay = head_rows(*decay, r.heads, decay->shape.width() / r.heads);
        if (decay->shape.rank() == 1) r.log_decay.row_stride = 0;
    }
    r.query_scale = static_cast<float>(call.attributes.real("scale", 1));
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
    const std::int64_t heads = call.attributes.integer("heads"), keys = call.inputs[0].shape.width() / heads, values = call.inputs[2].shape.width() / heads;
    const double scale = call.attributes.real("scale", 1);
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.inputs[0].shape.rows(); ++t) {
        const std::vector<double> q = row_as_double(call.inputs[0], t), k = row_as_double(call.inputs[1], t), v = row_as_double(call.inputs[2], t);
        const core::Tensor* const given = call.input(3);
        const std::vector<double> decay = given ? row_as_double(*given, given->shape.rank() == 1 ? 0 : t) : std::vector<double>(static_cast<std::size_t>(heads));
        std::vector<double> y(v.size());
        for (std::int64_t i = 0; i < heads * keys; ++i) {
            const std::int64_t head = i / keys;
            const auto at = static_cast<std::size_t>(i);
            const double w = std::exp(decay[decay.size() == q.size() ? at : static_cast<std::size_t>(head)]);
            double* const s = memory.slot(call.batch.sequences[static_cast<std::size_t>(t)]) + i * values;
            for (std::int64_t j = 0; j < values; ++j) {
                const auto column = static_cast<std::size_t>(head * values + j);
                s[j] = w * s[j] + k[at] * v[column];
                y[column] += scale * s[j] * q[at];
            }
        }
        store_row(call.output, t, y);
    }
    memory.store();
}

static Cost cost(const NodeView& node) {
    return recurrence_cost(node, node.inputs[0].shape.width() * node.inputs[2].shape.width() / node.attributes.integer("heads"), 3);
}

static void confine(std::span<const core::Tensor> inputs) {
    if (inputs.size() > 3 && inputs[3]) make_negative(inputs[3]);
}

/// Decays so strong that their products leave the range of quotients.
static void confine_strongly(std::span<const core::Tensor> inputs) {
    confine(inputs);
    for (std::int64_t i = 0; i < inputs[3].shape.elements(); ++i) inputs[3].row_f32(0)[i] *= 12;
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Heads = std::array<std::int64_t, 3>;  // heads, width of a key, width of a value
    for (const auto& [heads, keys, values] : {Heads{1, 1, 1}, {3, 5, 7}, {2, 16, 16}, {2, 64, 64}, {1, 70, 130}, {1, 256, 32}})
        for (const std::int64_t rows : {1, 4, 6, 16, 37})
            for (const std::int64_t past : {0, 19})
                for (const int decay : {0, 1, 2, 3}) {
                    const TensorType kinds[] = {{}, f32({heads}), f32({rows, heads}), f32({rows, heads * keys})};
                    list.push_back({.inputs = {f32({rows, heads * keys}), f32({rows, heads * keys}), f32({rows, heads * values}), kinds[decay]},
                                    .attributes = {{"heads", heads}, {"scale", 0.25}}, .past = past, .confine = decay == 3 && rows == 37 ? &confine_strongly : &confine});
                }
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t heads = d.attributes.integer("heads");
    return recurrence_gradients(d, {.q = 0, .k = 1, .v = 2, .decay = 3}, d.shape(0).width() / heads, {{"heads", heads}, {"scale", d.attributes.real("scale", 1)}});
}

static const Kernel kernels[] = {
    {.name = "chunks_bf16", .doc = "as chunks, with products of the memory in bf16", .run = {{nullptr, nullptr, &run_pairs}}, .error = pairs_error, .declines = &declines_bf16},
    {.name = "chunks", .doc = "16 rows at a time as products of small matrices", .version = 3, .run = {{&run_chunks}}, .declines = &declines_few_rows},
    {.name = "steps", .doc = "the recurrence, row by row", .run = {{&run_steps}}},
};

}  // namespace tailor::ops::linear_attention_kernels

namespace tailor::ops::entries {
extern const Op linear_attention = {
    .name = "linear_attention",
    .doc = "q, k [rows, heads * d], v [rows, heads * e], optional log decay [heads], [rows, heads] or [rows, heads * d] -> [rows, heads * e]: "
           "S = diag(exp(decay)) S + k v^T, y = scale S^T q",
    .least_inputs = 3,
    .most_inputs = 4,
    .shape = &linear_attention_kernels::shape,
    .reference = &linear_attention_kernels::reference,
    .kernels = linear_attention_kernels::kernels,
    .cost = &linear_attention_kernels::cost,
    .states = &linear_attention_kernels::states,
    .cases = &linear_attention_kernels::cases,
    .gradient = &linear_attention_kernels::gradient,
};
}  // namespace tailor::ops::entries
