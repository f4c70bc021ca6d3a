// Monarch mixing: a structured matrix as two block-diagonal products with permutations around them.
//
//     u[i][a] = sum over c < p of R[i][a][c] x[i p + c]            for the k blocks i of x and a < q
//     y[d q + a] = sum over i < k of L[a][d][i] u[i][a]            for a < q and d < s
// which is y = P L P^T R x with P the transpose of a [q, s] or [k, q] table. Dao et al., "Monarch: Expressive Structured Matrices for
// Efficient and Accurate Training", 2022, definition 3.1 and equation 1; mixing layers of them: Fu et al., "Monarch Mixer", 2023. A
// square matrix of n = k p columns with k = p = q = s = sqrt(n) takes 2 n^1.5 products instead of n^2: 32 times fewer for n = 1,024.
// Rows: a vector of rows goes through both factors, transposed, so that every number of R and L is spread over the lanes and no sum is
// folded. A single row: the lanes lie along c, and u is kept transposed so that both products read in order.
#include <algorithm>
#include <utility>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/monarch.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::monarch_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

#include "ops/attention/vectors.h"

/// k, q, p, s of the equations.
struct Sizes {
    std::int64_t k, q, p, s;
    explicit Sizes(const Call& call) noexcept
        : k(call.inputs[1].shape[0]), q(call.inputs[1].shape[1]), p(call.inputs[1].shape[2]), s(call.inputs[2].shape[1]) {}
};

// Sums kept in registers at once: each loaded vector meets eight spread numbers.
constexpr int together = 8;

/// to[a * stride] = sum over c of weights[a][c] x[c] for `count` outputs a, in vectors of rows.
template <int Count>
static void mix_block(const float* weights, std::int64_t depth, const float* x, std::int64_t x_stride, float* to, std::int64_t stride) noexcept {
    Vector sums[Count] = {};
    for (std::int64_t c = 0; c < depth; ++c) {
        const Vector v = load(x + c * x_stride);
        for (int a = 0; a < Count; ++a) sums[a] = fused(v, broadcast(weights[a * depth + c]), sums[a]);
    }
    for (int a = 0; a < Count; ++a) store(to + a * stride, sums[a]);
}

static void mix(const float* weights, std::int64_t outputs, std::int64_t depth, const float* x, std::int64_t x_stride, float* to, std::int64_t stride) noexcept {
    std::int64_t a = 0;
    for (; a + together <= outputs; a += together) mix_block<together>(weights + a * depth, depth, x, x_stride, to + a * stride, stride);
    for (; a < outputs; ++a) mix_block<1>(weights + a * depth, depth, x, x_stride, to + a * stride, stride);
}

/// Columns of `count` rows, each a vector of rows; lanes beyond are zero.
static void transpose_rows(const core::Tensor& x, std::int64_t first, std::int64_t count, float* to) noexcept {
    const std::int64_t width = x.shape.width();
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) {
        Vector square[lanes] = {};
        for (std::int64_t r = 0; r < count; ++r) square[r] = load(x.row_f32(first + r) + c);
        transpose(square);
        for (int l = 0; l < lanes; ++l) store(to + (c + l) * lanes, square[l]);
    }
    for (; c < width; ++c)
        for (std::int64_t r = 0; r < lanes; ++r) to[c * lanes + r] = r < count ? x.row_f32(first + r)[c] : 0.0f;
}

static void store_transposed(const float* from, const core::Tensor& y, std::int64_t first, std::int64_t count) noexcept {
    const std::int64_t width = y.shape.width();
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) {
        Vector square[lanes];
        for (int l = 0; l < lanes; ++l) square[l] = load(from + (c + l) * lanes);
        transpose(square);
        for (std::int64_t r = 0; r < count; ++r) store(y.row_f32(first + r) + c, square[r]);
    }
    for (; c < width; ++c)
        for (std::int64_t r = 0; r < count; ++r) y.row_f32(first + r)[c] = from[c * lanes + r];
}

/// A vector of rows per unit of work; each has its part of the scratch.
static void run_rows(const Call& call) noexcept {
    const Sizes z(call);
    const std::int64_t rows = call.output.shape.rows(), floats = (z.k * z.p + z.k * z.q + z.s * z.q) * lanes;
    call.pool->run((rows + lanes - 1) / lanes, [&](std::int64_t unit, int) {
        const std::int64_t first = unit * lanes, count = std::min<std::int64_t>(lanes, rows - first);
        float *const x = reinterpret_cast<float*>(call.scratch) + unit * floats, *const u = x + z.k * z.p * lanes, *const y = u + z.k * z.q * lanes;
        transpose_rows(call.inputs[0], first, count, x);
        for (std::int64_t i = 0; i < z.k; ++i)
            mix(call.inputs[1].row_f32(i * z.q), z.q, z.p, x + i * z.p * lanes, lanes, u + i * z.q * lanes, lanes);
        for (std::int64_t a = 0; a < z.q; ++a) mix(call.inputs[2].row_f32(a * z.s), z.s, z.k, u + a * lanes, z.q * lanes, y + a * lanes, z.q * lanes);
        store_transposed(y, call.output, first, count);
    });
}

/// to[a * stride] = weights[a] . x for `outputs` outputs: `lanes` sums at a time, folded by one transpose.
static void multiply_block(const float* weights, std::int64_t outputs, std::int64_t depth, const float* x, float* to, std::int64_t stride) noexcept {
    const std::int64_t whole = depth / lanes * lanes;
    for (std::int64_t a = 0; a < outputs; a += lanes) {
        const std::int64_t count = std::min<std::int64_t>(lanes, outputs - a);
        Vector sums[lanes] = {};
        float rest[lanes] = {};
        for (std::int64_t i = 0; i < count; ++i) {
            const float* const row = weights + (a + i) * depth;
            for (std::int64_t c = 0; c < whole; c += lanes) sums[i] = fused(load(row + c), load(x + c), sums[i]);
            for (std::int64_t c = whole; c < depth; ++c) rest[i] += row[c] * x[c];
        }
        transpose(sums);
        Vector total = load(rest);
        for (int l = 0; l < lanes; ++l) total += sums[l];
        store(rest, total);
        for (std::int64_t i = 0; i < count; ++i) to[(a + i) * stride] = rest[i];
    }
}

/// Row by row: blocks of R in parallel, then blocks of L.
static void run_steps(const Call& call) noexcept {
    const Sizes z(call);
    auto* const u = reinterpret_cast<float*>(call.scratch);  // [q][k]
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        call.pool->run(z.k, [&](std::int64_t i, int) {
            multiply_block(call.inputs[1].row_f32(i * z.q), z.q, z.p, call.inputs[0].row_f32(r) + i * z.p, u + i, z.k);
        });
        call.pool->run(z.q, [&](std::int64_t a, int) {
            multiply_block(call.inputs[2].row_f32(a * z.s), z.s, z.k, u + a * z.k, call.output.row_f32(r) + a, z.q);
        });
    }
}

}  // namespace tailor::ops::monarch_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::monarch_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 3; ++i) require_f32(node, i);
    const core::Shape &r = node.inputs[1].shape, &l = node.inputs[2].shape;
    require(r.rank() == 3 && l.rank() == 3 && r[0] * r[2] == node.inputs[0].shape.width(), "monarch: R must be [k, q, p] with k p columns of x", node);
    require(l[0] == r[1] && l[2] == r[0], "monarch: L must be [q, s, k] for R of [k, q, p]", node);
    return f32({node.inputs[0].shape.rows(), l[1] * l[0]});
}

static void reference(const Call& call) {
    const core::Tensor &right = call.inputs[1], &left = call.inputs[2];
    const std::int64_t k = right.shape[0], q = right.shape[1], p = right.shape[2], s = left.shape[1];
    for (std::int64_t row = 0; row < call.output.shape.rows(); ++row) {
        const std::vector<double> x = row_as_double(call.inputs[0], row);
        std::vector<double> y(static_cast<std::size_t>(s * q));
        for (std::int64_t i = 0; i < k; ++i)
            for (std::int64_t a = 0; a < q; ++a) {
                double u = 0;
                for (std::int64_t c = 0; c < p; ++c) u += static_cast<double>(right.row_f32(i * q + a)[c]) * x[static_cast<std::size_t>(i * p + c)];
                for (std::int64_t d = 0; d < s; ++d) y[static_cast<std::size_t>(d * q + a)] += static_cast<double>(left.row_f32(a * s + d)[i]) * u;
            }
        store_row(call.output, row, y);
    }
}

static Cost cost(const NodeView& node) {
    const double weights = static_cast<double>(node.inputs[1].shape.elements() + node.inputs[2].shape.elements());
    return streaming_cost(node, 2 * weights * static_cast<double>(node.inputs[0].shape.rows()));
}

/// For whole vectors of the widest level's rows, sixteen.
static std::int64_t scratch_bytes(const NodeView& node) {
    const core::Shape &r = node.inputs[1].shape, &l = node.inputs[2].shape;
    const std::int64_t rows = (node.inputs[0].shape.rows() + 15) / 16 * 16;
    return rows * (r[0] * r[2] + r[0] * r[1] + l[1] * l[0]) * static_cast<std::int64_t>(sizeof(float));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    using Sizes = std::array<std::int64_t, 4>;  // k, q, p, s
    for (const auto& [k, q, p, s] : {Sizes{1, 1, 1, 1}, {3, 5, 7, 2}, {8, 8, 8, 8}, {4, 20, 17, 9}, {32, 32, 32, 32}})
        for (const std::int64_t rows : {1, 3, 16, 37}) list.push_back({.inputs = {f32({rows, k * p}), f32({k, q, p}), f32({q, s, k})}});
    return list;
}

static std::string declines_few_rows(const NodeView& node) { return node.inputs[0].shape.rows() > 2 ? "" : "made for 3 rows or more"; }

static const Kernel kernels[] = {
    {.name = "rows", .doc = "a vector of rows through both factors, every weight spread over it", .run = TAILOR_EACH_ISA(run_rows), .declines = &declines_few_rows},
    {.name = "steps", .doc = "row by row, sums along the blocks' columns", .run = TAILOR_EACH_ISA(run_steps)},
};

}  // namespace tailor::ops::monarch_kernels

namespace tailor::ops::entries {
extern const Op monarch = {
    .name = "monarch",
    .doc = "x [rows, k * p], R [k, q, p], L [q, s, k] -> [rows, s * q]: u[i][a] = R[i][a] . x[i], y[d q + a] = sum over i of L[a][d][i] u[i][a]",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &monarch_kernels::shape,
    .reference = &monarch_kernels::reference,
    .kernels = monarch_kernels::kernels,
    .cost = &monarch_kernels::cost,
    .scratch_bytes = &monarch_kernels::scratch_bytes,
    .cases = &monarch_kernels::cases,
    .not_differentiable = "the gradients of its two factors are sums over rows of block products, which are not built",
};
}  // namespace tailor::ops::entries
#endif
