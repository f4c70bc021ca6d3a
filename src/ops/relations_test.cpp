// Operators that must agree because one is a special case, or another form, of the other: a convolution and its recurrence, constant
// decays and the masked product of Lightning Attention-2, a window on a line and the window of cached attention, a permutation as two
// block-diagonal products. Each side runs by the kernel that a plan would choose on this
// machine where no error is allowed.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numeric>
#include <random>

#include "ops/recurrence.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::ops {
namespace {

using Inputs = std::vector<core::Tensor>;

core::Tensor random_matrix(core::Shape shape, unsigned seed, float size = 1) {
    core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < shape.elements(); ++i) tensor.row_f32(0)[i] = size * normal(random);
    return tensor;
}

/// The operator on one sequence from its beginning, in calls of `size` rows.
core::Tensor apply(std::string_view name, const Inputs& inputs, const Attributes& attributes, std::int64_t size = 0) {
    static core::Pool pool(1);
    const Op& op = get(name);
    const std::int64_t rows = inputs[0].shape.rows();
    const auto types_of = [&](std::int64_t count) {
        std::vector<TensorType> types;
        for (const core::Tensor& input : inputs) {
            types.push_back({input.format, input.shape});
            if (input.shape.rank() == 2 && input.shape[0] == rows) types.back().shape[0] = count;
        }
        return types;
    };
    const std::vector<TensorType> all = types_of(rows);
    core::Tensor output = formats::make_tensor(formats::get("f32"), op.shape({attributes, all, {}}).shape);
    std::vector<core::Tensor> states;
    for (const StateType& state : op.states ? op.states({attributes, all, {}}, {rows}) : std::vector<StateType>{}) {
        core::Shape shape{1};
        for (int i = 0; i < state.shape.rank(); ++i) shape.append(state.shape[i]);
        states.push_back(formats::make_tensor(state.format ? *state.format : formats::get("f32"), shape));
    }
    if (size == 0) size = rows;
    for (std::int64_t first = 0; first < rows; first += size) {
        const std::int64_t count = std::min(size, rows - first);
        const std::vector<TensorType> types = types_of(count);
        Inputs views;
        for (std::size_t i = 0; i < inputs.size(); ++i)
            views.push_back(formats::view(*inputs[i].format, types[i].shape, types[i].shape == inputs[i].shape ? inputs[i].data : inputs[i].row(first)));
        const core::Tensor part = formats::view(*output.format, {count, output.shape.width()}, output.row(first));
        const NodeView node{attributes, types, {output.format, part.shape}};
        std::vector<std::int32_t> sequences(static_cast<std::size_t>(count), 0), positions(sequences.size());
        std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
        const core::Tensor scratch = formats::make_tensor(formats::get("i32"), {(op.scratch_bytes ? op.scratch_bytes(node) : 0) / 4 + 1});
        for (const Kernel& kernel : op.kernels) {
            if (kernel.error > 0 || !kernel.run.at(cpu::active_isa()) || !kernel.can_run(node)) continue;
            kernel.run.at(cpu::active_isa())({attributes, views, part, states, {sequences, positions}, &pool, cpu::active_isa(), scratch.data});
            break;
        }
    }
    return output;
}

void expect_same(const core::Tensor& a, const core::Tensor& b, double tolerance) {
    ASSERT_EQ(a.shape, b.shape);
    double worst = 0, largest = 0;
    for (std::int64_t r = 0; r < a.shape.rows(); ++r)
        for (std::int64_t c = 0; c < a.shape.width(); ++c) {
            const double difference = std::fabs(static_cast<double>(a.row_f32(r)[c]) - static_cast<double>(b.row_f32(r)[c]));
            largest = std::max(largest, std::fabs(static_cast<double>(a.row_f32(r)[c])));
            if (!(difference <= worst)) worst = difference;
        }
    EXPECT_GT(largest, 0);
    EXPECT_TRUE(worst <= tolerance * largest) << "off by " << worst << ", largest value " << largest;
}

// The recurrence of S4D against its kernel K[j] = 2 Re sum C (l - 1) / A l^j as a long convolution, by transforms and, in short calls,
// directly and row by row.
TEST(Relations, LongConvolutionWithAKernelOfS4dIsItsRecurrence) {
    constexpr std::int64_t rows = 700, width = 21, n = 4;
    Inputs s4d = {random_matrix({rows, width}, 1), random_matrix({width}, 2), random_matrix({width, 2 * n}, 3), random_matrix({width, 2 * n}, 4)};
    get("s4d").cases().front().confine(s4d);
    const core::Tensor filter = formats::make_tensor(formats::get("f32"), {rows - 1, width});
    for (std::int64_t c = 0; c < width; ++c)
        for (std::int64_t i = 0; i < n; ++i) {
            const std::complex<double> a(s4d[2].row_f32(c)[2 * i], s4d[2].row_f32(c)[2 * i + 1]), weight(s4d[3].row_f32(c)[2 * i], s4d[3].row_f32(c)[2 * i + 1]);
            const std::complex<double> l = std::exp(static_cast<double>(s4d[1].row_f32(0)[c]) * a);
            std::complex<double> term = 2.0 * weight * (l - 1.0) / a;
            for (std::int64_t j = 0; j < rows - 1; ++j, term *= l) filter.row_f32(j)[c] += static_cast<float>(term.real());
        }
    // The recurrence sees one lag more than the filter holds: the last row is left out.
    const core::Tensor x = s4d[0];
    s4d[0] = formats::view(*x.format, {rows - 1, width}, x.data);
    const core::Tensor skip = formats::make_tensor(formats::get("f32"), {width});
    const core::Tensor expected = apply("s4d", s4d, {});
    const core::Tensor longer = random_matrix({rows, width}, 5);
    for (const std::int64_t size : {0, 512, 40, 3, 1}) {
        SCOPED_TRACE(size);
        // One row more than the filter has, so that the two are told apart; its output is not compared.
        Inputs inputs = {longer, filter, skip};
        std::copy_n(s4d[0].row_f32(0), (rows - 1) * width, longer.row_f32(0));
        const core::Tensor actual = apply("long_conv", inputs, {}, size);
        expect_same(expected, formats::view(*actual.format, {rows - 1, width}, actual.data), 2e-5);
    }
}

TEST(Relations, LongConvolutionOfFourLagsIsAShortOne) {
    constexpr std::int64_t rows = 150, width = 37, taps = 4;
    const core::Tensor x = random_matrix({rows, width}, 1), weight = random_matrix({width, taps}, 2), filter = formats::make_tensor(formats::get("f32"), {taps, width});
    for (std::int64_t c = 0; c < width; ++c)
        for (std::int64_t j = 0; j < taps; ++j) filter.row_f32(j)[c] = weight.row_f32(c)[taps - 1 - j];
    expect_same(apply("short_conv", {x, weight}, {}), apply("long_conv", {x, filter}, {}), 1e-5);
}

// Lightning Attention-2: O = (Q K^T . M) V with M[t][s] = lambda^(t - s) for s <= t and a constant lambda for each head.
TEST(Relations, ConstantDecaysGiveTheMaskedProduct) {
    constexpr std::int64_t rows = 90, heads = 2, dim = 24;
    const core::Tensor q = random_matrix({rows, heads * dim}, 1), k = random_matrix({rows, heads * dim}, 2), v = random_matrix({rows, heads * dim}, 3);
    const core::Tensor decay = formats::make_tensor(formats::get("f32"), {heads}), per_row = formats::make_tensor(formats::get("f32"), {rows, heads});
    for (std::int64_t h = 0; h < heads; ++h) decay.row_f32(0)[h] = h == 0 ? -0.02f : -0.3f;
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(decay.row_f32(0), heads, per_row.row_f32(r));
    const core::Tensor expected = formats::make_tensor(formats::get("f32"), {rows, heads * dim});
    for (std::int64_t t = 0; t < rows; ++t)
        for (std::int64_t h = 0; h < heads; ++h) {
            std::vector<double> sums(dim);
            for (std::int64_t s = 0; s <= t; ++s) {
                double product = 0;
                for (std::int64_t i = h * dim; i < (h + 1) * dim; ++i) product += static_cast<double>(q.row_f32(t)[i]) * static_cast<double>(k.row_f32(s)[i]);
                product *= std::exp(static_cast<double>(decay.row_f32(0)[h]) * static_cast<double>(t - s));
                for (std::int64_t i = 0; i < dim; ++i) sums[static_cast<std::size_t>(i)] += product * static_cast<double>(v.row_f32(s)[h * dim + i]);
            }
            for (std::int64_t i = 0; i < dim; ++i) expected.row_f32(t)[h * dim + i] = static_cast<float>(sums[static_cast<std::size_t>(i)]);
        }
    const Attributes attributes{{"heads", heads}};
    for (const std::int64_t size : {0, 32, 1}) {
        expect_same(expected, apply("linear_attention", {q, k, v, decay}, attributes, size), 1e-5);
        expect_same(expected, apply("linear_attention", {q, k, v, per_row}, attributes, size), 1e-5);
    }
}

TEST(Relations, ACausalNeighbourhoodIsASlidingWindow) {
    constexpr std::int64_t rows = 50, heads = 4, kv_heads = 2, dim = 32, window = 7;
    const core::Tensor q = random_matrix({rows, heads * dim}, 1), k = random_matrix({rows, kv_heads * dim}, 2), v = random_matrix({rows, kv_heads * dim}, 3);
    const double scale = 1 / std::sqrt(static_cast<double>(dim));
    const core::Tensor expected = apply("attention", {q, k, v}, {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", scale}, {"window", window}});
    // Cached attention rounds scores to 16 bits.
    expect_same(expected, apply("neighborhood_attention", {q, k, v}, {{"heads", heads}, {"width", rows}, {"window_width", window}, {"causal", std::int64_t{1}}}), 1e-3);
}

// A window as wide as the line, and a stride as wide as the window: every token of a block sees the same block, so equal queries
// have equal outputs there and nowhere else.
TEST(Relations, AStrideAsWideAsTheWindowIsAttentionInBlocks) {
    constexpr std::int64_t rows = 12, window = 4, dim = 8;
    core::Tensor q = random_matrix({rows, dim}, 1);
    for (std::int64_t r = 1; r < rows; ++r) std::copy_n(q.row_f32(0), dim, q.row_f32(r));
    const core::Tensor k = random_matrix({rows, dim}, 2), v = random_matrix({rows, dim}, 3);
    const core::Tensor y = apply("neighborhood_attention", {q, k, v}, {{"heads", std::int64_t{1}}, {"width", rows}, {"window_width", window}, {"stride_width", window}});
    for (std::int64_t r = 0; r < rows; ++r) EXPECT_EQ(r % window == 0, r == 0 || y.row_f32(r)[0] != y.row_f32(r - 1)[0]) << r;
}

// With identity blocks what is left of a Monarch matrix are its permutations, which cancel; with all blocks equal it is a Kronecker product.
TEST(Relations, MonarchOfIdentitiesIsTheIdentityAndOfEqualBlocksAKroneckerProduct) {
    constexpr std::int64_t rows = 20, k = 3, p = 5;
    const core::Tensor x = random_matrix({rows, k * p}, 1), left = random_matrix({p, k, k}, 2), right = random_matrix({k, p, p}, 3);
    const core::Tensor unit_left = formats::make_tensor(formats::get("f32"), left.shape), unit_right = formats::make_tensor(formats::get("f32"), right.shape);
    for (std::int64_t a = 0; a < p; ++a)
        for (std::int64_t i = 0; i < k; ++i) unit_left.row_f32(a * k + i)[i] = 1, unit_right.row_f32(i * p + a)[a] = 1;
    expect_same(x, apply("monarch", {x, unit_right, unit_left}, {}), 0);
    for (std::int64_t i = 1; i < k; ++i) std::copy_n(right.row_f32(0), p * p, right.row_f32(i * p));
    for (std::int64_t a = 1; a < p; ++a) std::copy_n(left.row_f32(0), k * k, left.row_f32(a * k));
    const core::Tensor expected = formats::make_tensor(formats::get("f32"), {rows, k * p});
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t d = 0; d < k; ++d)
            for (std::int64_t a = 0; a < p; ++a) {
                double total = 0;
                for (std::int64_t i = 0; i < k; ++i)
                    for (std::int64_t c = 0; c < p; ++c)
                        total += static_cast<double>(left.row_f32(d)[i]) * static_cast<double>(right.row_f32(a)[c]) * static_cast<double>(x.row_f32(r)[i * p + c]);
                expected.row_f32(r)[d * p + a] = static_cast<float>(total);
            }
    expect_same(expected, apply("monarch", {x, right, left}, {}), 1e-5);
}

}  // namespace
}  // namespace tailor::ops
