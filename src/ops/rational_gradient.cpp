// Rational gradient: what the rational activation hands back to its input and to its coefficients.
//
// With P = sum of a_i x^i, B = sum of b_j x^j, Q = 1 + |B|, y = P / Q and the gradient o of y:
//     dx = o (P' - y sign(B) B') / Q,   da_i = sum of o x^i / Q,   db_j = -sum of o y sign(B) x^j / Q
// Yang and Wang, "Kolmogorov-Arnold Transformer", 2024, section 4.2. sign(0) counts as 1, or a denominator that begins as 1 would never
// learn. Sums run over all rows and the columns of a group: over blocks of 64 rows, whose sums are then added up in order, so that the
// number of threads does not change a bit. The three results lie one behind the other.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/rational_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::rational_gradient_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

constexpr std::int64_t block_rows = 64, most_coefficients = 16;

/// The polynomials of one group of columns, and the sums over them.
struct Group {
    const float *a, *b;
    std::int64_t m, n;  ///< highest powers
    Vector above[most_coefficients] = {}, below[most_coefficients] = {};

    /// The gradient of x.
    [[gnu::always_inline]] inline Vector hand_back(Vector x, Vector gradient) {
        Vector p = broadcast(a[m]), dp = {}, c = {}, dc = {};
        for (std::int64_t i = m; i-- > 0;) dp = fused(dp, x, p), p = fused(p, x, broadcast(a[i]));
        for (std::int64_t j = n; j-- > 0;) dc = fused(dc, x, c), c = fused(c, x, broadcast(b[j]));
        const Vector sum_b = c * x, slope_b = fused(dc, x, c);
        const Vector sign = sum_b < Vector{} ? broadcast(-1.0f) : broadcast(1.0f), share = 1.0f / (sum_b * sign + 1.0f), y = p * share;
        Vector term = gradient * share;
        const Vector result = term * (dp - y * sign * slope_b);
        Vector below_term = -(term * y * sign) * x;
        for (std::int64_t i = 0; i <= m; ++i) above[i] += term, term *= x;
        for (std::int64_t j = 0; j < n; ++j) below[j] += below_term, below_term *= x;
        return result;
    }
};

static void add_row(Group& group, const float* x, const float* gradient, float* dx, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(dx + i, group.hand_back(load(x + i), load(gradient + i)));
    if (i == count) return;
    // Numbers without a gradient add nothing to the sums.
    float rest[lanes] = {}, gradients[lanes] = {};
    std::copy(x + i, x + count, rest), std::copy(gradient + i, gradient + count, gradients);
    store(rest, group.hand_back(load(rest), load(gradients)));
    std::copy(rest, rest + (count - i), dx + i);
}

static void run(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &a = call.inputs[1], &b = call.inputs[2], &gradient = call.inputs[3];
    const std::int64_t width = x.shape.width(), rows = x.shape.rows(), blocks = (rows + block_rows - 1) / block_rows;
    const std::int64_t a_columns = width / a.shape[0], b_columns = width / b.shape[0], columns = std::min(a_columns, b_columns);
    const std::int64_t m = a.shape[1] - 1, n = b.shape[1], above = a.shape.elements(), numbers = above + b.shape.elements();
    float* const sums = reinterpret_cast<float*>(call.scratch);
    float* const out = call.output.row_f32(0);
    call.pool->run(blocks, [&](std::int64_t block, int) {
        float* const own = sums + block * numbers;
        std::fill_n(own, numbers, 0.0f);
        for (std::int64_t c = 0; c < width; c += columns) {
            Group group{.a = a.row_f32(c / a_columns), .b = b.row_f32(c / b_columns), .m = m, .n = n};
            for (std::int64_t r = block * block_rows; r < std::min(rows, (block + 1) * block_rows); ++r)
                add_row(group, x.row_f32(r) + c, gradient.row_f32(r) + c, out + r * width + c, columns);
            for (std::int64_t i = 0; i <= m; ++i) own[c / a_columns * (m + 1) + i] += sum(group.above[i]);
            for (std::int64_t j = 0; j < n; ++j) own[above + c / b_columns * n + j] += sum(group.below[j]);
        }
    });
    float* const totals = out + rows * width;
    std::copy_n(sums, numbers, totals);
    for (std::int64_t block = 1; block < blocks; ++block)
        for (std::int64_t i = 0; i < numbers; ++i) totals[i] += sums[block * numbers + i];
}

}  // namespace tailor::ops::rational_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::rational_gradient_kernels {

constexpr std::int64_t block_rows = 64, most_coefficients = 16;

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 4; ++i) require_f32(node, i);
    const core::Shape &x = node.inputs[0].shape, &a = node.inputs[1].shape, &b = node.inputs[2].shape;
    require(a.rank() == 2 && b.rank() == 2 && x.width() % a[0] == 0 && x.width() % b[0] == 0 && (a[0] % b[0] == 0 || b[0] % a[0] == 0),
            "rational_gradient: a [groups, m + 1] and b [groups, n] need groups that divide the columns", node);
    require(a[1] <= most_coefficients && b[1] <= most_coefficients, "rational_gradient: at most 16 coefficients", node);
    require(node.inputs[3].shape == x, "rational_gradient: the gradient must have the shape of x", node);
    return f32({x.elements() + a.elements() + b.elements()});
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t blocks = (node.inputs[0].shape.rows() + block_rows - 1) / block_rows;
    return blocks * (node.inputs[1].shape.elements() + node.inputs[2].shape.elements()) * static_cast<std::int64_t>(sizeof(float));
}

static void reference(const Call& call) {
    const core::Tensor &a = call.inputs[1], &b = call.inputs[2];
    const std::int64_t width = call.inputs[0].shape.width(), rows = call.inputs[0].shape.rows();
    std::vector<double> above(static_cast<std::size_t>(a.shape.elements())), below(static_cast<std::size_t>(b.shape.elements()));
    float* const out = call.output.row_f32(0);
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r), gradient = row_as_double(call.inputs[3], r);
        for (std::int64_t c = 0; c < width; ++c) {
            const std::int64_t a_group = c * a.shape[0] / width, b_group = c * b.shape[0] / width;
            const std::vector<double> as = row_as_double(a, a_group), bs = row_as_double(b, b_group);
            const double v = x[static_cast<std::size_t>(c)], o = gradient[static_cast<std::size_t>(c)];
            double p = 0, dp = 0, q = 0, dq = 0;
            for (std::size_t i = 0; i < as.size(); ++i) p += as[i] * std::pow(v, static_cast<double>(i)), dp += i > 0 ? static_cast<double>(i) * as[i] * std::pow(v, static_cast<double>(i) - 1) : 0;
            for (std::size_t j = 0; j < bs.size(); ++j) q += bs[j] * std::pow(v, static_cast<double>(j + 1)), dq += static_cast<double>(j + 1) * bs[j] * std::pow(v, static_cast<double>(j));
            const double sign = q < 0 ? -1 : 1, whole = 1 + std::fabs(q);
            out[r * width + c] = static_cast<float>(o * (dp - p / whole * sign * dq) / whole);
            for (std::size_t i = 0; i < as.size(); ++i) above[static_cast<std::size_t>(a_group) * as.size() + i] += o * std::pow(v, static_cast<double>(i)) / whole;
            for (std::size_t j = 0; j < bs.size(); ++j) below[static_cast<std::size_t>(b_group) * bs.size() + j] -= o * p * sign * std::pow(v, static_cast<double>(j + 1)) / (whole * whole);
        }
    }
    float* to = out + rows * width;
    for (const std::vector<double>* const sums : {&above, &below})
        for (const double sum : *sums) *to++ = static_cast<float>(sum);
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, static_cast<double>(node.inputs[0].shape.elements()) * 6 * static_cast<double>(node.inputs[1].shape[1] + node.inputs[2].shape[1] + 2));
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [rows, width, groups] : {std::array<std::int64_t, 3>{1, 1, 1}, {1, 37, 1}, {3, 64, 8}, {130, 48, 4}})
        for (const std::int64_t denominators : {std::int64_t{1}, groups})
            list.push_back({.inputs = {f32({rows, width}), f32({groups, 6}), f32({denominators, 4}), f32({rows, width})}, .tolerance = 1e-5});
    list.push_back({.inputs = {f32({2, 40}), f32({2, 1}), f32({4, 1}), f32({2, 40})}, .tolerance = 1e-5});
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time, sums of 64 rows in registers", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::rational_gradient_kernels

namespace tailor::ops::entries {
extern const Op rational_gradient = {
    .name = "rational_gradient",
    .doc = "x [rows, width], a [groups, m + 1], b [groups, n], gradient [rows, width] -> the gradients of rational's x, a and b, one behind the other",
    .least_inputs = 4,
    .most_inputs = 4,
    .shape = &rational_gradient_kernels::shape,
    .reference = &rational_gradient_kernels::reference,
    .kernels = rational_gradient_kernels::kernels,
    .cost = &rational_gradient_kernels::cost,
    .scratch_bytes = &rational_gradient_kernels::scratch_bytes,
    .cases = &rational_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and second derivatives of rationals are not built",
};
}  // namespace tailor::ops::entries
#endif
