// PolyNorm: a sum of powers of a row, each brought to size one.
//
//     y = a_0 + sum over 1 <= i <= m of a_i x^i / sqrt(mean of x^(2 i) over the row + epsilon)
// Zhuo et al., "Polynomial Composition Activations: Unleashing the Dynamics of Large Language Models", 2024, equation 4 (m = 3, learned
// a). The paper divides by the Euclidean norm; with the root of the mean, as models are trained, a does not depend on the width. One
// pass over the row sums the powers of x^2, a second one is a polynomial by Horner's rule with a_i over its norm.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/poly_norm.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::poly_norm_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// x^12 of numbers up to 1,000 fits f32.
constexpr std::int64_t most_degree = 6;

[[gnu::always_inline]] inline void add_powers(Vector x, Vector (&sums)[most_degree], std::int64_t degree) {
    const Vector square = x * x;
    Vector power = square;
    for (std::int64_t i = 0; i < degree; ++i) sums[i] += power, power *= square;
}

[[gnu::always_inline]] inline Vector polynomial(Vector x, const float* factors, std::int64_t degree) {
    Vector y = broadcast(factors[degree]);
    for (std::int64_t i = degree; i-- > 0;) y = fused(y, x, broadcast(factors[i]));
    return y;
}

static void apply(const float* x, const float* a, std::int64_t degree, float epsilon, float* y, std::int64_t width) noexcept {
    Vector sums[most_degree] = {};
    const std::int64_t whole = width / lanes * lanes;
    float rest[lanes] = {}, factors[most_degree + 1];
    std::copy(x + whole, x + width, rest);
    for (std::int64_t i = 0; i < whole; i += lanes) add_powers(load(x + i), sums, degree);
    add_powers(load(rest), sums, degree);
    factors[0] = a[0];
    for (std::int64_t i = 0; i < degree; ++i) factors[i + 1] = a[i + 1] / std::sqrt(sum(sums[i]) / static_cast<float>(width) + epsilon);
    for (std::int64_t i = 0; i < whole; i += lanes) store(y + i, polynomial(load(x + i), factors, degree));
    store(rest, polynomial(load(rest), factors, degree));
    std::copy(rest, rest + (width - whole), y + whole);
}

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width(), rows = call.output.shape.rows(), chunk = rows_per_chunk(width);
    const auto epsilon = static_cast<float>(call.attributes.real("epsilon"));
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            apply(call.inputs[0].row_f32(r), call.inputs[1].row_f32(0), call.inputs[1].shape.elements() - 1, epsilon, call.output.row_f32(r), width);
    });
}

}  // namespace tailor::ops::poly_norm_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::poly_norm_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0), require_f32(node, 1);
    const core::Shape& a = node.inputs[1].shape;
    require(a.rank() == 1 && a[0] <= base::most_degree + 1, core::format("poly_norm: the coefficients must be [m + 1] with m of at most {}", base::most_degree), node);
    return node.inputs[0];
}

static void reference(const Call& call) {
    const std::vector<double> a = row_as_double(call.inputs[1], 0);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y(x.size(), a[0]);
        for (std::size_t i = 1; i < a.size(); ++i) {
            double squares = 0;
            for (const double value : x) squares += std::pow(value, 2 * static_cast<double>(i));
            const double norm = std::sqrt(squares / static_cast<double>(x.size()) + call.attributes.real("epsilon"));
            for (std::size_t c = 0; c < x.size(); ++c) y[c] += a[i] * std::pow(x[c], static_cast<double>(i)) / norm;
        }
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.output.shape.elements() * node.inputs[1].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t terms : {1, 2, 4, 7})
        for (const std::int64_t width : {1, 37, 64, 5000}) list.push_back({.inputs = {f32({3, width}), f32({terms})}, .attributes = {{"epsilon", 1e-6}}});
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "a pass for the norms, a pass for the polynomial", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::poly_norm_kernels

namespace tailor::ops::entries {
extern const Op poly_norm = {
    .name = "poly_norm",
    .doc = "x [rows, width], a [m + 1] -> [rows, width]: a_0 + sum of a_i x^i / sqrt(mean of x^(2 i) + epsilon)",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &poly_norm_kernels::shape,
    .reference = &poly_norm_kernels::reference,
    .kernels = poly_norm_kernels::kernels,
    .cost = &poly_norm_kernels::cost,
    .in_place = true,
    .cases = &poly_norm_kernels::cases,
    .not_differentiable = "the gradients of its coefficients and norms are sums of powers, which are not built",
};
}  // namespace tailor::ops::entries
#endif
