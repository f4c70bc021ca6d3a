// Recurrence gradient: what the linear recurrences over a matrix of memory per head hand back to their inputs.
//
// The five operators linear_attention, gated_delta, ssd, rwkv6 and rwkv7 are one recurrence with different parts (ops/recurrence.h):
//     z = a^T S,   S' = diag(w) S + b z^T + k v'^T,   y = scale q^T S'     with w = exp(decay rate), v' = value_scale v
// delta: a = -value_scale w k and b = k;  bonus: y = scale q^T (S + diag(bonus) k v'^T);  skip: y += skip v. Backwards in time, with
// D the gradient of S' and o that of y:
//     dq = scale S' o,  D += scale q o^T,  dk = D v',  dv' = D^T k,  db = D z,  dz = D^T b,  da = S dz,  dw = rowsum(D S),
//     D <- diag(w) D + a dz^T
// States are not kept by the forward pass but computed anew, a stretch of sqrt(rows) rows at a time from the state at its begin (Chen et al.,
// "Training Deep Nets with Sublinear Memory Cost", 2016). Rows are whole sequences from position 0.
// Keys and queries that heads share get a gradient per head; the rules of the five add them up (ops/recurrence_gradient/rule.h).
#include <cmath>

#include "ops/recurrence.h"
#include "ops/recurrence_gradient/kernel.h"
#include "ops/sequences.h"
#include "ops/support.h"

namespace tailor::ops::recurrence_gradient_kernels {

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 2, 3}) require_f32(node, i);
    const std::int64_t heads = node.attributes.integer("heads"), key_dim = node.attributes.integer("key_dim"), rows = node.inputs[0].shape.rows();
    const core::Shape &q = node.inputs[0].shape, &v = node.inputs[2].shape;
    require(heads > 0 && key_dim > 0 && key_dim <= most_key_dim && q.width() % key_dim == 0 && heads % (q.width() / key_dim) == 0, "recurrence_gradient: q must hold groups of heads", node);
    require(node.inputs[1].shape == q && v.width() % heads == 0 && v.rows() == rows && node.inputs[3].shape == v, "recurrence_gradient: k must be like q, and the gradient like v", node);
    std::int64_t numbers = rows * (2 * heads * key_dim + v.width());
    for (std::size_t i = first_optional; i < most_inputs; ++i)
        if (node.input(i)) require_f32(node, i), numbers += node.inputs[i].shape.elements();
    return f32({numbers});
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t heads = node.attributes.integer("heads");
    return gradient_scratch_bytes(node.inputs[0].shape.rows(), heads, node.attributes.integer("key_dim"), node.inputs[2].shape.width() / heads);
}

// ---- The definition: all states kept, the delta rule as the z that it is ----

namespace {

using Numbers = std::vector<double>;

/// One row of one head.
struct Row {
    Numbers q, k, v, o, w, a, b;
    double beta = 1, decay = 0, rate = 1;
};

struct Definition {
    const Call& call;
    Operands in;
    std::int64_t heads, keys, values;
    bool delta;
    double scale;
    Numbers out;

    explicit Definition(const Call& given)
        : call(given), in(given), heads(in.heads), keys(in.key_dim), values(in.value_dim), delta(in.delta), scale(given.attributes.real("scale", 1)),
          out(static_cast<std::size_t>(given.output.shape.elements())) {}

    Row row(std::int32_t r, std::int64_t h) const {
        const auto read = [&](const HeadRows& from) { return from ? Numbers(numbers_at(from, r, h), numbers_at(from, r, h) + from.dim) : Numbers(); };
        Row x{read(in.q), read(in.k), read(in.v), read(in.gradient), Numbers(static_cast<std::size_t>(keys), 1), read(in.a), read(in.b)};
        if (in.value_scale) x.beta = static_cast<double>(numbers_at(in.value_scale, r, h)[0]);
        if (in.rate) x.rate = static_cast<double>(in.rate[h]);
        for (std::size_t i = 0; i < x.w.size() && in.decay; ++i) x.w[i] = std::exp(x.rate * static_cast<double>(numbers_at(in.decay, r, h)[in.decay.dim == 1 ? 0 : i]));
        if (!delta) return x;
        x.a.resize(x.w.size());
        for (std::size_t i = 0; i < x.w.size(); ++i) x.a[i] = -x.beta * x.w[i] * x.k[i];
        x.b = x.k;
        return x;
    }

    Numbers z_of(const Row& x, const Numbers& s) const {
        Numbers z(x.v.size());
        for (std::size_t i = 0; i < x.a.size(); ++i)
            for (std::size_t j = 0; j < z.size(); ++j) z[j] += x.a[i] * s[i * z.size() + j];
        return z;
    }
    Numbers next(const Row& x, const Numbers& s) const {
        const Numbers z = z_of(x, s);
        Numbers to(s.size());
        for (std::size_t i = 0; i < x.w.size(); ++i)
            for (std::size_t j = 0; j < z.size(); ++j) to[i * z.size() + j] = x.w[i] * s[i * z.size() + j] + (x.b.empty() ? 0 : x.b[i] * z[j]) + x.k[i] * x.beta * x.v[j];
        return to;
    }
    double& at(std::int64_t begin, std::int64_t index) { return out[static_cast<std::size_t>(begin + index)]; }

    void add_decays(std::int32_t r, std::int64_t h, const Row& x, const Numbers& dw);
    void back(std::int32_t r, std::int64_t h, const Numbers& before, const Numbers& after, Numbers& d);
};

void Definition::add_decays(std::int32_t r, std::int64_t h, const Row& x, const Numbers& dw) {
    for (std::size_t i = 0; i < dw.size() && in.decay; ++i) {
        const double logarithm = dw[i] * x.w[i];
        const std::int64_t column = in.decay.dim == 1 ? h : h * keys + static_cast<std::int64_t>(i), width = in.decay.dim * heads;
        at(in.places[4], (in.decay.row_stride ? r * width : 0) + column) += logarithm * x.rate;
        if (in.rate) at(in.places[5], h) += logarithm * static_cast<double>(numbers_at(in.decay, r, h)[0]);
    }
}

void Definition::back(std::int32_t r, std::int64_t h, const Numbers& before, const Numbers& after, Numbers& d) {
    const Row x = row(r, h);
    const std::size_t n = x.v.size();
    const Numbers z = z_of(x, before);
    Numbers dk(x.k.size()), dv(n), dz(n), da(x.k.size()), db(x.k.size()), dw(x.k.size());
    double value_product = 0;
    for (std::size_t j = 0; j < n; ++j) value_product += x.beta * x.v[j] * x.o[j];
    for (std::size_t i = 0; i < x.q.size(); ++i)
        for (std::size_t j = 0; j < n; ++j) {
            const std::size_t s = i * n + j;
            at(0, r * heads * keys + h * keys + static_cast<std::int64_t>(i)) += scale * (in.bonus ? before[s] : after[s]) * x.o[j];
            if (!in.bonus) d[s] += scale * x.q[i] * x.o[j];
            dk[i] += d[s] * x.beta * x.v[j], dv[j] += d[s] * x.k[i], dw[i] += d[s] * before[s];
            if (!x.b.empty()) db[i] += d[s] * z[j], dz[j] += d[s] * x.b[i];
        }
    for (std::size_t i = 0; i < x.q.size(); ++i) {
        const double u = in.bonus ? static_cast<double>(in.bonus[h * keys + static_cast<std::int64_t>(i)]) : 0;
        at(0, r * heads * keys + h * keys + static_cast<std::int64_t>(i)) += scale * u * x.k[i] * value_product;
        dk[i] += scale * u * x.q[i] * value_product;
        if (in.bonus) at(in.places[9], h * keys + static_cast<std::int64_t>(i)) += scale * x.q[i] * x.k[i] * value_product;
        for (std::size_t j = 0; j < n; ++j) {
            dv[j] += scale * u * x.q[i] * x.k[i] * x.o[j];
            if (!x.a.empty()) da[i] += before[i * n + j] * dz[j];
            d[i * n + j] = x.w[i] * d[i * n + j] + (x.a.empty() ? 0 : x.a[i] * dz[j]) + (in.bonus ? scale * x.q[i] * x.o[j] : 0);
        }
    }
    double dbeta = 0;
    for (std::size_t i = 0; i < x.k.size() && delta; ++i) {
        dk[i] += db[i] - da[i] * x.beta * x.w[i], dw[i] -= da[i] * x.beta * x.k[i];
        dbeta -= da[i] * x.w[i] * x.k[i];
    }
    for (std::size_t j = 0; j < n; ++j) {
        const double skip = in.skip ? static_cast<double>(in.skip[h]) : 0;
        at(in.places[2], (r * heads + h) * values + static_cast<std::int64_t>(j)) = x.beta * dv[j] + skip * x.o[j];
        dbeta += dv[j] * x.v[j];
        if (in.skip) at(in.places[10], h) += x.o[j] * x.v[j];
    }
    for (std::size_t i = 0; i < x.k.size(); ++i) {
        const std::int64_t index = (r * heads + h) * keys + static_cast<std::int64_t>(i);
        at(in.places[1], index) = dk[i];
        if (in.a) at(in.places[7], index) = da[i], at(in.places[8], index) = db[i];
    }
    if (in.value_scale) at(in.places[6], r * heads + h) = dbeta;
    add_decays(r, h, x, dw);
}

}  // namespace

static void reference(const Call& call) {
    Definition all(call);
    const std::int64_t rows = call.inputs[0].shape.rows();
    std::vector<std::byte> scratch(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    for_each_sequence(call, rows, scratch.data(), [&](std::span<const std::int32_t> sequence) {
        for (std::int64_t h = 0; h < all.heads; ++h) {
            std::vector<Numbers> states{Numbers(static_cast<std::size_t>(all.keys * all.values))};
            for (const std::int32_t r : sequence) states.push_back(all.next(all.row(r, h), states.back()));
            Numbers d(states[0].size());
            for (std::size_t t = sequence.size(); t-- > 0;) all.back(sequence[t], h, states[t], states[t + 1], d);
        }
    });
    std::copy(all.out.begin(), all.out.end(), call.output.row_f32(0));
}

static Cost cost(const NodeView& node) {
    return recurrence_cost(node, node.attributes.integer("key_dim") * node.inputs[2].shape.width(), node.attributes.integer("delta", 0) || node.input(7) ? 13 : 9);
}

// ---- Cases ----

/// Decays that do not grow, steps and rates of correction within (0, 1), keys of norm about 1: with others the memory grows without bound.
static void confine(std::span<const core::Tensor> inputs) {
    const auto each = [](const core::Tensor& tensor, auto change) {
        for (std::int64_t i = 0; tensor && i < tensor.shape.elements(); ++i) tensor.row_f32(0)[i] = change(tensor.row_f32(0)[i]);
    };
    const auto at = [&](std::size_t i) { return i < inputs.size() ? inputs[i] : core::Tensor{}; };
    const float size = 1 / std::sqrt(static_cast<float>(inputs[1].shape.width()));
    each(inputs[1], [&](float x) { return x * size; });
    each(at(4), [](float x) { return -0.5f * std::fabs(x); });
    each(at(5), [](float x) { return std::fabs(x); });
    each(at(6), [](float x) { return 1 / (1 + std::exp(-x)); });
    each(at(7), [&](float x) { return 0.5f * x * size; });
    each(at(8), [&](float x) { return 0.5f * x * size; });
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Sizes = std::array<std::int64_t, 4>;  // heads, groups of keys, width of a key, width of a value
    for (const auto& [heads, groups, keys, values] : {Sizes{1, 1, 1, 1}, {4, 2, 5, 7}, {2, 1, 32, 33}, {1, 1, 256, 16}})
        for (const std::int64_t rows : {1, 5, 40})
            for (int kind = 0; kind < 6; ++kind) {
                const TensorType key = f32({rows, groups * keys}), value = f32({rows, heads * values}), scalar = f32({rows, heads}), per_key = f32({rows, heads * keys});
                Case c{.inputs = {key, key, value, value}, .attributes = {{"heads", heads}, {"key_dim", keys}, {"scale", 0.5}}, .tolerance = 1e-4, .confine = &confine};
                c.inputs.resize(kind == 0 ? 4 : 11);
                if (kind == 1) c.inputs[4] = f32({heads});
                if (kind == 2) c.inputs[4] = scalar, c.inputs[5] = f32({heads}), c.inputs[6] = scalar, c.inputs[10] = f32({heads});
                if (kind == 3) c.inputs[4] = scalar, c.inputs[5] = f32({heads}), c.inputs[6] = scalar, c.attributes.set("delta", std::int64_t{1}), c.attributes.set("tiled", std::int64_t{1});
                if (kind == 4) c.inputs[4] = per_key, c.inputs[9] = f32({heads, keys});
                if (kind == 5) c.inputs[4] = per_key, c.inputs[7] = per_key, c.inputs[8] = per_key;
                while (!c.inputs.back()) c.inputs.pop_back();
                list.push_back(c);
            }
    return list;
}

static const Kernel kernels[] = {{.name = "stretches", .doc = "heads in parallel, states of a stretch of rows computed anew, then backwards through it", .run = gradient_kernel}};

}  // namespace tailor::ops::recurrence_gradient_kernels

namespace tailor::ops::entries {
extern const Op recurrence_gradient = {
    .name = "recurrence_gradient",
    .doc = "q, k [rows, groups * key_dim], v, gradient [rows, heads * e], optional log decay ([heads], [rows, heads] or per key), rate [heads], value scale [rows, heads], "
           "a, b [rows, heads * key_dim], bonus [heads, key_dim], skip [heads]; attributes heads, key_dim, tiled, delta, scale -> the gradients of all but `gradient`, one behind "
           "the other, of q and k per head",
    .least_inputs = 4,
    .most_inputs = 11,
    .shape = &recurrence_gradient_kernels::shape,
    .reference = &recurrence_gradient_kernels::reference,
    .kernels = recurrence_gradient_kernels::kernels,
    .cost = &recurrence_gradient_kernels::cost,
    .scratch_bytes = &recurrence_gradient_kernels::scratch_bytes,
    .cases = &recurrence_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of recurrences are not built",
};
}  // namespace tailor::ops::entries
