// S4D: a diagonal state space with complex rates that do not depend on the input.
//
//     h_t[c][n] = l[c][n] h_(t-1)[c][n] + x_t[c],   y_t[c] = 2 Re sum over n of b[c][n] h_t[c][n] + D[c] x_t[c]
//     l = exp(dt A),   b = C (l - 1) / A
// for every column c: zero-order hold with B = 1, and half of each conjugate pair. Gu et al., "On the Parameterization and
// Initialization of Diagonal State Space Models", 2022, equations 2 and 3. A and C are pairs of real and imaginary parts, A's
// real parts negative. As a convolution this is y = K * x with K[j] = 2 Re sum b l^j; unlike the convolution the recurrence costs
// the same at every position, and with 2 n complex products per row it is as cheap as a convolution by FFT for the usual n of 32 to
// 64. A vector of columns goes down the rows, h and l in the first-level cache.
#include <cmath>
#include <complex>

#include "cpu/simd.h"
#include "ops/gradients.h"
#include "ops/recurrence.h"
#include "ops/windows.h"

#define TAILOR_THIS_FILE "ops/s4d.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::s4d_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

constexpr std::int64_t most_state = 128;
constexpr std::int64_t unit_columns = 64;

/// Real and imaginary parts of one number per column of a vector, for each of the state's dimensions.
struct Parts {
    alignas(64) float real[most_state * lanes] = {}, imaginary[most_state * lanes] = {};
    void set(std::int64_t at, std::complex<double> value) {
        real[at] = static_cast<float>(value.real()), imaginary[at] = static_cast<float>(value.imag());
    }
};

/// The rows of one sequence for `count` columns; h: their memory [column][state][2].
static void scan_columns(const Call& call, float* h, std::int64_t first, std::int64_t end, std::int64_t column, std::int64_t count) noexcept {
    const std::int64_t state = call.inputs[2].shape.width() / 2;
    Parts memory, rate, read;
    alignas(64) float skip[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) {
        const float *const a = call.inputs[2].row_f32(column + i), *const c = call.inputs[3].row_f32(column + i);
        if (call.input(4)) skip[i] = call.input(4)->row_f32(0)[column + i];
        for (std::int64_t n = 0; n < state; ++n) {
            const std::complex<double> pole(a[2 * n], a[2 * n + 1]), l = std::exp(static_cast<double>(call.inputs[1].row_f32(0)[column + i]) * pole);
            rate.set(n * lanes + i, l);
            read.set(n * lanes + i, 2.0 * std::complex<double>(c[2 * n], c[2 * n + 1]) * (l - 1.0) / pole);
            memory.set(n * lanes + i, {h[(i * state + n) * 2], h[(i * state + n) * 2 + 1]});
        }
    }
    for (std::int64_t r = first; r < end; ++r) {
        float in[lanes] = {}, out[lanes];
        std::memcpy(in, call.inputs[0].row_f32(r) + column, static_cast<std::size_t>(count) * sizeof(float));
        const Vector x = load(in);
        Vector y = load(skip) * x;
        for (std::int64_t n = 0; n < state * lanes; n += lanes) {
            const Vector real = load(memory.real + n), imaginary = load(memory.imaginary + n), l_real = load(rate.real + n), l_imaginary = load(rate.imaginary + n);
            const Vector new_real = fused(real, l_real, fused(-imaginary, l_imaginary, x)), new_imaginary = fused(real, l_imaginary, imaginary * l_real);
            store(memory.real + n, new_real), store(memory.imaginary + n, new_imaginary);
            y = fused(new_real, load(read.real + n), fused(-new_imaginary, load(read.imaginary + n), y));
        }
        store(out, y);
        std::memcpy(call.output.row_f32(r) + column, out, static_cast<std::size_t>(count) * sizeof(float));
    }
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t n = 0; n < state; ++n) h[(i * state + n) * 2] = memory.real[n * lanes + i], h[(i * state + n) * 2 + 1] = memory.imaginary[n * lanes + i];
}

static void run(const Call& call) noexcept {
    const std::int64_t width = call.output.shape.width();
    call.pool->run((width + unit_columns - 1) / unit_columns, [&](std::int64_t c, int) {
        for_each_run(call.batch, call.output.shape.rows(), [&](std::int64_t sequence, std::int64_t first, std::int64_t end) {
            for (std::int64_t column = c * unit_columns; column < std::min(width, (c + 1) * unit_columns); column += lanes)
                scan_columns(call, call.states[0].row_f32(sequence * width + column), first, end, column, std::min<std::int64_t>(lanes, width - column));
        });
    });
}

}  // namespace tailor::ops::s4d_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::s4d_kernels {

static TensorType shape(const NodeView& node) {
    for (std::size_t i = 0; i < 4; ++i) require_f32(node, i);
    const std::int64_t width = node.inputs[0].shape.width();
    const core::Shape& a = node.inputs[2].shape;
    require(node.inputs[1].shape.elements() == width, "s4d: dt must have one value per column", node);
    require(a.rank() == 2 && a[0] == width && a[1] % 2 == 0 && a[1] / 2 <= base::most_state, "s4d: A must be [width, 2 * n] with n of at most 128", node);
    require(node.inputs[3].shape == a, "s4d: C must have the shape of A", node);
    if (node.input(4)) require_f32(node, 4), require(node.inputs[4].shape.elements() == width, "s4d: D must have one value per column", node);
    return node.inputs[0];
}

static std::vector<StateType> states(const NodeView& node, const StateOptions&) { return {{"memory", node.inputs[2].shape, &formats::get("f32")}}; }

static void reference(const Call& call) {
    const std::int64_t width = call.inputs[0].shape.width(), state = call.inputs[2].shape.width() / 2;
    StateInDouble memory(call.states[0]);
    for (std::int64_t t = 0; t < call.output.shape.rows(); ++t) {
        const std::vector<double> x = row_as_double(call.inputs[0], t);
        std::vector<double> y(x.size());
        for (std::int64_t c = 0; c < width; ++c) {
            const auto at = static_cast<std::size_t>(c);
            const std::vector<double> a = row_as_double(call.inputs[2], c), out = row_as_double(call.inputs[3], c);
            double* const h = memory.slot(call.batch.sequences[static_cast<std::size_t>(t)]) + c * 2 * state;
            for (std::size_t n = 0; n < a.size(); n += 2) {
                const std::complex<double> pole(a[n], a[n + 1]), l = std::exp(static_cast<double>(call.inputs[1].row_f32(0)[c]) * pole);
                const std::complex<double> now = l * std::complex<double>(h[n], h[n + 1]) + x[at];
                h[n] = now.real(), h[n + 1] = now.imag();
                y[at] += 2 * (std::complex<double>(out[n], out[n + 1]) * (l - 1.0) / pole * now).real();
            }
            if (call.input(4)) y[at] += static_cast<double>(call.input(4)->row_f32(0)[c]) * x[at];
        }
        store_row(call.output, t, y);
    }
    memory.store();
}

static Cost cost(const NodeView& node) { return recurrence_cost(node, node.inputs[2].shape.elements(), 4); }

/// Steps of a tenth, and rates that decay: real parts below -0.1.
static void confine(std::span<const core::Tensor> inputs) {
    for (std::int64_t i = 0; i < inputs[1].shape.elements(); ++i) inputs[1].row_f32(0)[i] = 0.1f * std::fabs(inputs[1].row_f32(0)[i]);
    for (std::int64_t i = 0; i < inputs[2].shape.elements(); i += 2) inputs[2].row_f32(0)[i] = -0.1f - std::fabs(inputs[2].row_f32(0)[i]);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const auto& [width, n] : {std::pair<std::int64_t, std::int64_t>{7, 1}, {37, 5}, {130, 16}})
        for (const std::int64_t rows : {1, 3, 60})
            for (const std::int64_t past : {0, 19})
                list.push_back({.inputs = {f32({rows, width}), f32({width}), f32({width, 2 * n}), f32({width, 2 * n}), past ? f32({width}) : TensorType{}},
                                .past = past, .confine = &confine});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    return parts(d, d.graph.add("s4d_gradient", {d.input(0), d.input(1), d.input(2), d.input(3), d.input(4), d.gradient}), {0, 1, 2, 3, 4});
}

static const Kernel kernels[] = {{.name = "columns", .doc = "a vector of columns down the rows, memory and rates in cache", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::s4d_kernels

namespace tailor::ops::entries {
extern const Op s4d = {
    .name = "s4d",
    .doc = "x [rows, width], dt [width], A, C [width, 2 n] (real and imaginary parts), optional D [width] -> [rows, width]: h = exp(dt A) h + x, "
           "y = 2 Re(C (exp(dt A) - 1) / A . h) + D x",
    .least_inputs = 4,
    .most_inputs = 5,
    .shape = &s4d_kernels::shape,
    .reference = &s4d_kernels::reference,
    .kernels = s4d_kernels::kernels,
    .cost = &s4d_kernels::cost,
    .states = &s4d_kernels::states,
    .cases = &s4d_kernels::cases,
    .gradient = &s4d_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
