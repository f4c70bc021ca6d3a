// The kernel of recurrence_gradient; see recurrence_gradient.cpp for the formulas.
//
// A unit of work is a head with all its sequences: what rows add up to (rates, bonuses, skips) then belongs to one thread. Vectors run
// over the values of a row of the state. The delta rule is computed as the correction that it is, e = v - k^T diag(w) S, rather than through a and
// b: three passes over the state instead of five.
#include "ops/recurrence_gradient/kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#include "ops/sequences.h"

#define TAILOR_THIS_FILE "ops/recurrence_gradient/kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::recurrence_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/vector_rows.h"

// Rows of a stretch: the square root balances the states at the begins of stretches and those within one.
static std::int64_t stretch_of(std::int64_t rows) noexcept { return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::sqrt(static_cast<double>(rows)))); }

// States at the begins of stretches, within a stretch and after it, and D.
static std::int64_t states_of(std::int64_t rows) noexcept { return (rows + stretch_of(rows) - 1) / stretch_of(rows) + stretch_of(rows) + 2; }

/// One head: its operands, results and buffers.
struct Head {
    const Operands& in;
    float* out;
    std::int64_t h, keys, values;
    float scale;
    float *states, *d;                    ///< [..][keys][values], and D
    float *scaled_v, *z, *dv, *dz;        ///< [values]
    float w[most_key_dim];                ///< decays of the row at hand

    float* result(std::size_t input, std::int64_t row, std::int64_t dim) const { return out + in.places[input] + (row * in.heads + h) * dim; }
    float beta(std::int64_t row) const { return in.value_scale ? numbers_at(in.value_scale, row, h)[0] : 1.0f; }
};

static void read_row(Head& head, std::int64_t row) noexcept {
    const Operands& in = head.in;
    for (std::int64_t i = 0; i < head.keys; ++i) {
        const float logarithm = in.decay ? numbers_at(in.decay, row, head.h)[in.decay.dim == 1 ? 0 : i] * (in.rate ? in.rate[head.h] : 1.0f) : 0.0f;
        head.w[i] = i > 0 && in.decay.dim <= 1 ? head.w[0] : std::exp(logarithm);
    }
    const float beta = head.beta(row);
    const float* const v = numbers_at(in.v, row, head.h);
    for (std::int64_t j = 0; j < head.values; ++j) head.scaled_v[j] = v[j] * beta;
}

/// z = a^T S, or with the delta rule the correction e = v - k^T diag(w) S, of the row at hand.
static void read_memory(const Head& head, std::int64_t row, const float* s) noexcept {
    const bool delta = head.in.delta;
    if (!delta && !head.in.a) return;
    const float* const factor = delta ? numbers_at(head.in.k, row, head.h) : numbers_at(head.in.a, row, head.h);
    if (delta) std::memcpy(head.z, numbers_at(head.in.v, row, head.h), static_cast<std::size_t>(head.values) * sizeof(float));
    else std::memset(head.z, 0, static_cast<std::size_t>(head.values) * sizeof(float));
    for (std::int64_t i = 0; i < head.keys; ++i) add_scaled(head.z, s + i * head.values, delta ? -factor[i] * head.w[i] : factor[i], head.values);
}

/// The state after a row from the state before it.
static void advance(Head& head, std::int64_t row, const float* s, float* next) noexcept {
    read_row(head, row);
    read_memory(head, row, s);
    const float *const k = numbers_at(head.in.k, row, head.h), *const b = head.in.a ? numbers_at(head.in.b, row, head.h) : nullptr;
    const float* const added = head.in.delta ? head.z : head.scaled_v;
    const float share = head.in.delta ? head.beta(row) : 1.0f;
    for (std::int64_t i = 0; i < head.keys; ++i) {
        set_scaled(next + i * head.values, s + i * head.values, head.w[i], head.values);
        add_scaled(next + i * head.values, added, k[i] * share, head.values);
        if (b) add_scaled(next + i * head.values, head.z, b[i], head.values);
    }
}

/// The gradients of the decays from those of w, `dw` for key dimension i.
static void add_decay(const Head& head, std::int64_t row, std::int64_t i, float dw) noexcept {
    const Operands& in = head.in;
    if (!in.decay) return;
    const float logarithm = dw * head.w[i];
    const std::int64_t column = in.decay.dim == 1 ? head.h : head.h * head.keys + i, width = in.decay.dim * in.heads;
    head.out[in.places[4] + (in.decay.row_stride ? row * width : 0) + column] += logarithm * (in.rate ? in.rate[head.h] : 1.0f);
    if (in.rate) head.out[in.places[5] + head.h] += logarithm * numbers_at(in.decay, row, head.h)[0];
}

/// What the present row's own key and value add through the bonus.
static void add_bonus(const Head& head, std::int64_t row, const float* o, float* dq, float* dk) noexcept {
    const float *const q = numbers_at(head.in.q, row, head.h), *const k = numbers_at(head.in.k, row, head.h), *const u = head.in.bonus + head.h * head.keys;
    float* const du = head.out + head.in.places[9] + head.h * head.keys;
    const float product = head.scale * dot(head.scaled_v, o, head.values);
    float through = 0;
    for (std::int64_t i = 0; i < head.keys; ++i) {
        dq[i] += u[i] * k[i] * product, dk[i] += u[i] * q[i] * product, du[i] += q[i] * k[i] * product;
        through += q[i] * u[i] * k[i];
    }
    add_scaled(head.dv, o, head.scale * through, head.values);
}

/// One row backwards where the memory is added to.
static void back_adding(const Head& head, std::int64_t row, const float* before, const float* o, float* dq, float* dk) noexcept {
    const Operands& in = head.in;
    const float *const q = numbers_at(in.q, row, head.h), *const k = numbers_at(in.k, row, head.h), *const a = in.a ? numbers_at(in.a, row, head.h) : nullptr, *const b = a ? numbers_at(in.b, row, head.h) : nullptr;
    const std::int64_t n = head.values;
    std::memset(head.dv, 0, static_cast<std::size_t>(n) * sizeof(float));
    std::memset(head.dz, 0, static_cast<std::size_t>(n) * sizeof(float));
    for (std::int64_t i = 0; i < head.keys; ++i) {
        const float* const d = head.d + i * n;
        dk[i] = dot(d, head.scaled_v, n);
        add_scaled(head.dv, d, k[i], n);
        add_decay(head, row, i, dot(d, before + i * n, n));
        if (b) head.result(8, row, head.keys)[i] = dot(d, head.z, n), add_scaled(head.dz, d, b[i], n);
    }
    for (std::int64_t i = 0; i < head.keys; ++i) {
        float* const d = head.d + i * n;
        set_scaled(d, d, head.w[i], n);
        if (a) head.result(7, row, head.keys)[i] = dot(before + i * n, head.dz, n), add_scaled(d, head.dz, a[i], n);
        if (in.bonus) add_scaled(d, o, head.scale * q[i], n);
    }
    if (in.bonus) add_bonus(head, row, o, dq, dk);
    const float beta = head.beta(row);
    if (in.value_scale) head.result(6, row, 1)[0] = dot(head.dv, numbers_at(in.v, row, head.h), n);
    set_scaled(head.result(2, row, n), head.dv, beta, n);
}

/// One row backwards with the delta rule: S' = diag(w) S + beta k e^T, e = v - k^T diag(w) S.
static void back_correcting(const Head& head, std::int64_t row, const float* before, float* dk) noexcept {
    const float* const k = numbers_at(head.in.k, row, head.h);
    const std::int64_t n = head.values;
    const float beta = head.beta(row);
    float* const de = head.result(2, row, n);  // which is the gradient of v
    std::memset(de, 0, static_cast<std::size_t>(n) * sizeof(float));
    float dbeta = 0;
    for (std::int64_t i = 0; i < head.keys; ++i) {
        const float* const d = head.d + i * n;
        const float product = dot(d, head.z, n);
        add_scaled(de, d, beta * k[i], n);
        dk[i] = beta * product, dbeta += k[i] * product;
    }
    for (std::int64_t i = 0; i < head.keys; ++i) {
        float* const d = head.d + i * n;
        add_scaled(d, de, -k[i], n);
        dk[i] -= head.w[i] * dot(before + i * n, de, n);
        add_decay(head, row, i, dot(d, before + i * n, n));
        set_scaled(d, d, head.w[i], n);
    }
    if (head.in.value_scale) head.result(6, row, 1)[0] = dbeta;
}

static void back(Head& head, std::int64_t row, const float* before, const float* after) noexcept {
    const Operands& in = head.in;
    read_row(head, row);
    read_memory(head, row, before);
    const float *const q = numbers_at(in.q, row, head.h), *const o = numbers_at(in.gradient, row, head.h);
    float *const dq = head.result(0, row, head.keys), *const dk = head.result(1, row, head.keys);
    const float* const seen = in.bonus ? before : after;
    for (std::int64_t i = 0; i < head.keys; ++i) {
        dq[i] = head.scale * dot(seen + i * head.values, o, head.values);
        if (!in.bonus) add_scaled(head.d + i * head.values, o, head.scale * q[i], head.values);
    }
    if (in.delta) back_correcting(head, row, before, dk);
    else back_adding(head, row, before, o, dq, dk);
    if (!in.skip) return;
    add_scaled(head.result(2, row, head.values), o, in.skip[head.h], head.values);
    head.out[in.places[10] + head.h] += dot(o, numbers_at(in.v, row, head.h), head.values);
}

static void run_sequence(Head& head, std::span<const std::int32_t> rows, std::int64_t stretch) noexcept {
    const std::int64_t size = head.keys * head.values, count = static_cast<std::int64_t>(rows.size()), stretches = (count + stretch - 1) / stretch;
    float *const begins = head.states, *const within = begins + stretches * size;
    const auto bytes = static_cast<std::size_t>(size) * sizeof(float);
    std::memset(begins, 0, bytes);
    const auto walk = [&](std::int64_t s, bool keep) {
        std::memcpy(within, begins + s * size, bytes);
        const std::int64_t first = s * stretch, end = std::min(count, first + stretch);
        for (std::int64_t t = first; t < end; ++t) {
            // Two states in turn are enough where only the last one is wanted.
            const std::int64_t from = keep ? t - first : (t - first) % 2, to = keep ? from + 1 : 1 - from;
            advance(head, rows[static_cast<std::size_t>(t)], within + from * size, within + to * size);
        }
        return within + (keep ? end - first : (end - first) % 2) * size;
    };
    for (std::int64_t s = 0; s + 1 < stretches; ++s) std::memcpy(begins + (s + 1) * size, walk(s, false), bytes);
    std::memset(head.d, 0, bytes);
    for (std::int64_t s = stretches; s-- > 0;) {
        walk(s, true);
        for (std::int64_t t = std::min(count, (s + 1) * stretch); t-- > s * stretch;) {
            const float* const before = within + (t - s * stretch) * size;
            back(head, rows[static_cast<std::size_t>(t)], before, before + size);
        }
    }
}

static void run(const Call& call) noexcept {
    const Operands in(call);
    const std::int64_t rows = call.inputs[0].shape.rows(), size = in.key_dim * in.value_dim, stretch = stretch_of(rows);
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, rows, call.scratch);
    auto* const buffers = reinterpret_cast<float*>(call.scratch + sequence_rows_bytes(rows));
    const std::int64_t first_shared = in.places[2] + rows * in.heads * in.value_dim;
    std::fill_n(call.output.row_f32(0) + first_shared, call.output.shape.elements() - first_shared, 0.0f);
    call.pool->run(in.heads, [&](std::int64_t h, int) {
        float* const buffer = buffers + h * (states_of(rows) * size + 4 * in.value_dim);
        float* const vectors = buffer + states_of(rows) * size;
        Head head{in, call.output.row_f32(0), h, in.key_dim, in.value_dim, static_cast<float>(call.attributes.real("scale", 1)), buffer + size, buffer, vectors, vectors + in.value_dim,
                  vectors + 2 * in.value_dim, vectors + 3 * in.value_dim, {}};
        for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> sequence) { run_sequence(head, sequence, stretch); });
    });
}

}  // namespace tailor::ops::recurrence_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::recurrence_gradient_kernels {

static constexpr cpu::PerIsa<Run> run_at = TAILOR_EACH_ISA(run);
const cpu::PerIsa<Run> gradient_kernel = run_at;

std::int64_t gradient_scratch_bytes(std::int64_t rows, std::int64_t heads, std::int64_t key_dim, std::int64_t value_dim) {
    return sequence_rows_bytes(rows) + heads * (base::states_of(rows) * key_dim * value_dim + 4 * value_dim) * static_cast<std::int64_t>(sizeof(float)) + 64;
}

}  // namespace tailor::ops::recurrence_gradient_kernels
#endif
