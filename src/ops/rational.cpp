// Rational activation: a learned quotient of polynomials, one per group of columns.
//
//     y = (a_0 + a_1 x + ... + a_m x^m) / (1 + |b_1 x + ... + b_n x^n|)
// Yang and Wang, "Kolmogorov-Arnold Transformer", 2024, equations 8 and 9 (m = 5, n = 4, eight groups); the safe form of the quotient,
// which has no poles, is of Molina et al., "Pade Activation Units", 2020, equation 2. By Horner's rule, four vectors of columns
// at a time so that each coefficient is spread once for all.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"
#include "ops/gradients.h"

#define TAILOR_THIS_FILE "ops/rational.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::rational_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

constexpr int together = 4;
constexpr std::int64_t piece = together * lanes;

/// `piece` values with a [m + 1] and b [n].
static void apply_piece(const float* x, const float* a, std::int64_t m, const float* b, std::int64_t n, float* y) noexcept {
    Vector v[together], p[together], q[together];
    for (int i = 0; i < together; ++i) v[i] = load(x + i * lanes), p[i] = broadcast(a[m]), q[i] = Vector{};
    for (std::int64_t j = m; j-- > 0;)
        for (int i = 0; i < together; ++i) p[i] = fused(p[i], v[i], broadcast(a[j]));
    for (std::int64_t j = n; j-- > 0;)
        for (int i = 0; i < together; ++i) q[i] = (q[i] + b[j]) * v[i];
    for (int i = 0; i < together; ++i) store(y + i * lanes, p[i] / (maximum(q[i], -q[i]) + 1.0f));
}

static void apply(const float* x, const float* a, std::int64_t m, const float* b, std::int64_t n, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + piece <= count; i += piece) apply_piece(x + i, a, m, b, n, y + i);
    if (i == count) return;
    float rest[piece] = {};
    std::copy(x + i, x + count, rest);
    apply_piece(rest, a, m, b, n, rest);
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    const core::Tensor &a = call.inputs[1], &b = call.inputs[2];
    const std::int64_t width = call.output.shape.width(), a_columns = width / a.shape[0], b_columns = width / b.shape[0], columns = std::min(a_columns, b_columns);
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        for (std::int64_t c = begin; c < end;) {
            const std::int64_t stop = std::min(end, (c / columns + 1) * columns);
            apply(call.inputs[0].row_f32(r) + c, a.row_f32(c / a_columns), a.shape[1] - 1, b.row_f32(c / b_columns), b.shape[1], call.output.row_f32(r) + c, stop - c);
            c = stop;
        }
    });
}

}  // namespace tailor::ops::rational_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::rational_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 3; ++i) require_f32(node, i);
    const std::int64_t width = node.inputs[0].shape.width();
    const core::Shape &a = node.inputs[1].shape, &b = node.inputs[2].shape;
    require(a.rank() == 2 && b.rank() == 2 && width % a[0] == 0 && width % b[0] == 0, "rational: a [groups, m + 1] and b [groups, n] need groups that divide the columns", node);
    require(a[0] % b[0] == 0 || b[0] % a[0] == 0, core::format("rational: {} groups of a against {} of b", a[0], b[0]), node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const core::Tensor &a = call.inputs[1], &b = call.inputs[2];
    const std::int64_t width = call.output.shape.width();
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (std::int64_t c = 0; c < width; ++c) {
            double& value = x[static_cast<std::size_t>(c)];
            const std::vector<double> above = row_as_double(a, c * a.shape[0] / width), below = row_as_double(b, c * b.shape[0] / width);
            double p = 0, q = 0;
            for (std::size_t i = 0; i < above.size(); ++i) p += above[i] * std::pow(value, static_cast<double>(i));
            for (std::size_t i = 0; i < below.size(); ++i) q += below[i] * std::pow(value, static_cast<double>(i + 1));
            value = p / (1 + std::fabs(q));
        }
        store_row(call.output, r, x);
    }
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements() * (node.inputs[1].shape[1] + node.inputs[2].shape[1] + 2)));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [rows, width, groups] : {std::array<std::int64_t, 3>{1, 1, 1}, {1, 37, 1}, {3, 64, 8}, {5, 5000, 4}})
        for (const std::int64_t denominators : {std::int64_t{1}, groups})
            list.push_back({.inputs = {f32({rows, width}), f32({groups, 6}), f32({denominators, 4})}, .tolerance = 1e-5});
    list.push_back({.inputs = {f32({2, 40}), f32({2, 1}), f32({4, 1})}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return parts(d, d.graph.add("rational_gradient", {d.input(0), d.input(1), d.input(2), d.gradient}), {0, 1, 2});
}

static const Kernel kernels[] = {{.name = "simd", .doc = "Horner's rule, four vectors of columns at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::rational_kernels

namespace tailor::ops::entries {
extern const Op rational = {
    .name = "rational",
    .doc = "x [rows, width], a [groups, m + 1], b [groups, n] -> [rows, width]: (sum of a_i x^i) / (1 + |sum of b_i x^i|), neighbouring columns in a group",
    .least_inputs = 3,
    .most_inputs = 3,
    .shape = &rational_kernels::shape,
    .reference = &rational_kernels::reference,
    .kernels = rational_kernels::kernels,
    .cost = &rational_kernels::cost,
    .in_place = true,
    .cases = &rational_kernels::cases,
    .gradient = &rational_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
