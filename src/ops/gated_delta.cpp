// Gated DeltaNet: a linear attention whose memory corrects what it holds for a key instead of adding to it.
//
//     S' = diag(w_t) S_(t-1),   S_t = S' + k_t (beta_t (v_t - S'^T k_t))^T,   y_t = scale S_t^T q_t
// which is S_t = (I - beta k k^T) diag(w) S_(t-1) + beta k v^T. Without decay: DeltaNet (Schlag et al., 2021; chunks: Yang et al.,
// "Parallelizing Linear Transformers with the Delta Rule", 2024, equation 6). One decay per head: Gated DeltaNet (Yang et al.,
// 2024, equation 10), as in Qwen3-Next. One per dimension of the key: Kimi Linear, 2025. Decays come as natural logarithms,
// times an optional factor per head (the family's -exp(A_log)). Keys should have norm 1; k heads may be fewer than v heads.
#include <cmath>

#include "ops/recurrence.h"
#include "ops/recurrence_gradient/rule.h"

namespace tailor::ops::gated_delta_kernels {

static std::int64_t key_heads_of(const Attributes& a) { return a.integer("key_heads", a.integer("heads")); }

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 2, 4}) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), key_heads = key_heads_of(node.attributes);
    const std::int64_t rows = node.inputs[0].shape.rows(), width = node.inputs[0].shape.width();
    require(heads > 0 && key_heads > 0 && heads % key_heads == 0, core::format("gated_delta: {} heads over {} key heads", heads, key_heads), node);
    require(width % key_heads == 0 && width / key_heads <= most_key_dim, "gated_delta: q must hold key heads of at most 256 values", node);
    require(node.inputs[1].shape == node.inputs[0].shape, "gated_delta: k must have the shape of q", node);
    require(node.inputs[2].shape.rows() == rows && node.inputs[2].shape.width() % heads == 0, "gated_delta: v must be [rows, heads * value_dim]", node);
    if (node.input(3)) {
        require_f32(node, 3);
        const core::Shape& decay = node.inputs[3].shape;
        require(decay.rows() == rows && (decay.width() == heads || decay.width() == width / key_heads * heads),
                "gated_delta: the decay must be [rows, heads] or [rows, heads * key_dim]", node);
    }
    require(node.inputs[4].shape == core::Shape({rows, heads}), "gated_delta: beta must be [rows, heads]", node);
    if (node.input(5)) {
        require_f32(node, 5);
        require(node.inputs[5].shape.elements() == heads && node.input(3) && node.inputs[3].shape.width() == heads, "gated_delta: the rate needs one decay per head", node);
    }
    const std::string_view spread = node.attributes.word("spread", "neighbours");
    require(spread == "neighbours" || spread == "tiled", core::format("gated_delta: unknown spread '{}' of key heads", spread), node);
    return f32({rows, node.inputs[2].shape.width()});
}

static std::vector<StateType> states(const NodeView& node, const StateOptions&) {
    const std::int64_t heads = node.attributes.integer("heads");
    return matrix_state(heads, node.inputs[0].shape.width() / key_heads_of(node.attributes), node.inputs[2].shape.width() / heads);
}

static Recurrence recurrence(const Call& call) noexcept {
    const bool tiled = call.attributes.word("spread", "neighbours") == "tiled";
    Recurrence r;
    r.heads = call.attributes.integer("heads");
    r.key_dim = call.inputs[0].shape.width() / key_heads_of(call.attributes), r.value_dim = call.inputs[2].shape.width() / r.heads;
    r.q = head_rows(call.inputs[0], r.heads, r.key_dim, tiled), r.k = head_rows(call.inputs[1], r.heads, r.key_dim, tiled);
    r.v = head_rows(call.inputs[2], r.heads, r.value_dim);
    if (const core::Tensor* const decay = call.input(3)) r.log_decay = head_rows(*decay, r.heads, decay->shape.width() / r.heads);
    r.value_scale = head_rows(call.inputs[4], r.heads, 1);
    r.rate = call.input(5) ? call.input(5)->row_f32(0) : nullptr;
    r.delta_rule = true;
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

/// One row of one head: s [keys, values] is its memory, w the decays of the row.
static void reference_head(const double* q, const double* k, const double* v, const std::vector<double>& w, double beta, double scale, double* s, std::int64_t values,
                           double* y) {
    const auto keys = static_cast<std::int64_t>(w.size());
    std::vector<double> error(v, v + values);
    for (std::int64_t i = 0; i < keys; ++i)
        for (std::int64_t j = 0; j < values; ++j) {
            s[i * values + j] *= w[static_cast<std::size_t>(i)];
            error[static_cast<std::size_t>(j)] -= s[i * values + j] * k[i];
        }
    for (std::int64_t i = 0; i < keys; ++i)
        for (std::int64_t j = 0; j < values; ++j) {
            s[i * values + j] += k[i] * beta * error[static_cast<std::size_t>(j)];
            y[j] += scale * s[i * values + j] * q[i];
        }
}

static void reference(const Call& call) {
    const std::int64_t heads = call.attributes.integer("heads"), key_heads = key_heads_of(call.attributes);
    const std::int64_t keys = call.inputs[0].shape.width() / key_heads, values = call.inputs[2].shape.width() / heads;
    const bool tiled = call.attributes.word("spread", "neighbours") == "tiled";
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.inputs[0].shape.rows(); ++t) {
        const std::vector<double> q = row_as_double(call.inputs[0], t), k = row_as_double(call.inputs[1], t), v = row_as_double(call.inputs[2], t);
        const std::vector<double> decay = call.input(3) ? row_as_double(*call.input(3), t) : std::vector<double>(static_cast<std::size_t>(heads));
        std::vector<double> y(v.size());
        for (std::int64_t h = 0; h < heads; ++h) {
            const std::int64_t key_head = tiled ? h % key_heads : h / (heads / key_heads), per_head = static_cast<std::int64_t>(decay.size()) / heads;
            std::vector<double> w(static_cast<std::size_t>(keys));
            for (std::int64_t i = 0; i < keys; ++i)
                w[static_cast<std::size_t>(i)] = std::exp(decay[static_cast<std::size_t>(h * per_head + i % per_head)] * (call.input(5) ? static_cast<double>(call.input(5)->row_f32(0)[h]) : 1));
            reference_head(q.data() + key_head * keys, k.data() + key_head * keys, v.data() + h * values, w, static_cast<double>(call.inputs[4].row_f32(t)[h]),
                           call.attributes.real("scale", 1), memory.slot(call.batch.sequences[static_cast<std::size_t>(t)]) + h * keys * values, values, y.data() + h * values);
        }
        store_row(call.output, t, y);
    }
    memory.store();
}

static Cost cost(const NodeView& node) {
    const std::int64_t keys = node.inputs[0].shape.width() / key_heads_of(node.attributes);
    return recurrence_cost(node, keys * node.inputs[2].shape.width(), 4);
}

/// Keys of norm 1, decays below 1, beta in (0, 1): with others the memory grows without bound.
static void confine(std::span<const core::Tensor> inputs) {
    const core::Tensor &k = inputs[1], &beta = inputs[4];
    const float size = 1 / std::sqrt(static_cast<float>(k.shape.width()));
    for (std::int64_t i = 0; i < k.shape.elements(); ++i) k.row_f32(0)[i] *= size;
    for (std::int64_t i = 0; i < beta.shape.elements(); ++i) beta.row_f32(0)[i] = 1 / (1 + std::exp(-beta.row_f32(0)[i]));
    if (inputs[3]) make_negative(inputs[3]);
}

/// Decays so strong that their products leave the range of quotients.
static void confine_strongly(std::span<const core::Tensor> inputs) {
    confine(inputs);
    for (std::int64_t i = 0; i < inputs[3].shape.elements(); ++i) inputs[3].row_f32(0)[i] *= 12;
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Heads = std::array<std::int64_t, 4>;  // heads, key heads, width of a key, width of a value
    for (const auto& [heads, key_heads, keys, values] : {Heads{1, 1, 1, 1}, {4, 2, 5, 7}, {2, 2, 64, 64}, {6, 2, 32, 48}, {2, 1, 128, 128}, {1, 1, 256, 20}})
        for (const std::int64_t rows : {1, 4, 7, 16, 37})
            for (const std::int64_t past : {0, 19})
                for (const int decay : {0, 1, 2, 3}) {
                    const TensorType kinds[] = {{}, f32({rows, heads}), f32({rows, heads * keys}), f32({rows, heads})};
                    Case c{.inputs = {f32({rows, key_heads * keys}), f32({rows, key_heads * keys}), f32({rows, heads * values}), kinds[decay], f32({rows, heads})},
                           .attributes = {{"heads", heads}, {"key_heads", key_heads}, {"scale", 0.25}, {"spread", std::string(rows % 2 ? "neighbours" : "tiled")}},
                           .past = past, .tolerance = 5e-5,  // one row's q^T k may nearly vanish
                           .confine = decay == 2 && rows == 16 ? &confine_strongly : &confine};
                    if (decay == 3) c.inputs.push_back(f32({heads}));
                    list.push_back(c);
                }
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return recurrence_gradients(d, {.q = 0, .k = 1, .v = 2, .decay = 3, .rate = 5, .value_scale = 4}, d.shape(0).width() / key_heads_of(d.attributes),
                                {{"heads", d.attributes.integer("heads")},
                                 {"tiled", std::int64_t{d.attributes.word("spread", "neighbours") == "tiled"}},
                                 {"delta", std::int64_t{1}},
                                 {"scale", d.attributes.real("scale", 1)}});
}

static const Kernel kernels[] = {
    {.name = "chunks_bf16", .doc = "as chunks, with products of the memory in bf16", .run = {{nullptr, nullptr, &run_pairs}}, .error = pairs_error, .declines = &declines_bf16},
    {.name = "chunks", .doc = "16 rows at a time: products of small matrices and one triangular system", .version = 3, .run = {{&run_chunks}}, .declines = &declines_few_rows},
    {.name = "steps", .doc = "the recurrence, row by row", .run = {{&run_steps}}},
};

}  // namespace tailor::ops::gated_delta_kernels

namespace tailor::ops::entries {
extern const Op gated_delta = {
    .name = "gated_delta",
    .doc = "q, k [rows, key_heads * d], v [rows, heads * e], optional log decay [rows, heads] or [rows, heads * d], beta [rows, heads], optional rate [heads] "
           "-> [rows, heads * e]: S = diag(exp(rate decay)) S, S = S + k (beta (v - S^T k))^T, y = scale S^T q",
    .least_inputs = 5,
    .most_inputs = 6,
    .shape = &gated_delta_kernels::shape,
    .reference = &gated_delta_kernels::reference,
    .kernels = gated_delta_kernels::kernels,
    .cost = &gated_delta_kernels::cost,
    .states = &gated_delta_kernels::states,
    .cases = &gated_delta_kernels::cases,
    .gradient = &gated_delta_kernels::gradient,
};
}  // namespace tailor::ops::entries
