// Sample rows: a few rows of x that stand for all of them in a sum over rows.
//
// A product x^T g = sum over rows of x[r]^T g[r] is right on average if row r is drawn with probability p[r] and counts 1 / (draws p[r]). With p as the
// norm of x[r], large rows would be drawn again and again, so the largest are taken once and for certain, as many as lower the variance
// most, and the rest of the draws go to the others: Liu et al., "Winner-Take-All Column Row Sampling for Memory Efficient Adaptation of
// Language Model", 2023, section 3.2, where p also has the norm of g[r]; that is not known yet when x is put by, and left out. The draws
// are systematic, one in each of as many equal parts, from a place that a hash of the norms gives.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/hash.h"
#include "ops/support.h"

namespace tailor::ops::sample_rows_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const core::Shape& x = node.inputs[0].shape;
    const std::int64_t count = node.attributes.integer("count");
    require(x.rank() == 2 && count >= 1 && count <= x.rows(), "sample_rows: between one and all of the rows of a matrix can be drawn", node);
    return f32({count, x.width() + 1});
}

/// Norms of rows, and the rows in the order of them.
struct Scratch {
    double* norms;
    std::int32_t* order;
};

static std::int64_t scratch_bytes(const NodeView& node) { return node.inputs[0].shape.rows() * static_cast<std::int64_t>(sizeof(double) + sizeof(std::int32_t)); }

static double norm(const float* x, std::int64_t width) noexcept {
    double sums[4] = {};
    std::int64_t i = 0;
    for (; i + 4 <= width; i += 4)
        for (std::int64_t j = 0; j < 4; ++j) sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
    for (; i < width; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return std::sqrt(sums[0] + sums[1] + sums[2] + sums[3]);
}

/// Draw `at` is row `row` of x, times `scale`; its number stands in the last column.
static void put(const Call& call, std::int64_t at, std::int64_t row, double scale) noexcept {
    const core::Tensor& x = call.inputs[0];
    float* const y = call.output.row_f32(at);
    for (std::int64_t i = 0; i < x.shape.width(); ++i) y[i] = x.row_f32(row)[i] * static_cast<float>(scale);
    y[x.shape.width()] = static_cast<float>(row);
}

static void draw(const Call& call, Scratch s) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows(), count = call.output.shape.rows();
    double total = 0;
    for (std::int64_t r = 0; r < rows; ++r) total += s.norms[r], s.order[r] = static_cast<std::int32_t>(r);
    if (!(total > 0 && total < HUGE_VAL)) {  // all zeros, or numbers that shall be seen in the product
        for (std::int64_t i = 0; i < count; ++i) put(call, i, i, total);
        return;
    }
    std::sort(s.order, s.order + rows, [&](std::int32_t a, std::int32_t b) { return s.norms[a] != s.norms[b] ? s.norms[a] > s.norms[b] : a < b; });
    // The variance goes with (what is left to chance)^2 / draws for it.
    std::int64_t certain = 0;
    double left = 1, rest = 1, least = 1 / static_cast<double>(count);
    for (std::int64_t c = 1; c < count; ++c) {
        rest -= s.norms[s.order[c - 1]] / total;
        if (const double ratio = rest / static_cast<double>(count - c); ratio < least) least = ratio, certain = c, left = rest;
    }
    for (std::int64_t i = 0; i < certain; ++i) put(call, i, s.order[i], 1);
    const double draws = static_cast<double>(count - certain);
    const std::uint64_t seed = core::hash64(std::span(reinterpret_cast<const std::byte*>(s.norms), static_cast<std::size_t>(rows) * sizeof(double)));
    const double begin = static_cast<double>(seed >> 11) * 0x1p-53;
    std::int64_t row = certain;
    double passed = s.norms[s.order[row]] / total / left;
    for (std::int64_t i = certain; i < count; ++i) {
        const double at = (static_cast<double>(i - certain) + begin) / draws;
        while (passed < at && row + 1 < rows) passed += s.norms[s.order[++row]] / total / left;
        put(call, i, s.order[row], s.norms[s.order[row]] > 0 ? left / (draws * s.norms[s.order[row]] / total) : 0);
    }
}

static void run(const Call& call) noexcept {
    const core::Tensor& x = call.inputs[0];
    const std::int64_t rows = x.shape.rows(), chunk = rows_per_chunk(x.shape.width());
    const Scratch s{reinterpret_cast<double*>(call.scratch), reinterpret_cast<std::int32_t*>(call.scratch + rows * static_cast<std::int64_t>(sizeof(double)))};
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) s.norms[r] = norm(x.row_f32(r), x.shape.width());
    });
    draw(call, s);
}

// Which rows are drawn is a matter of the last bit of a norm, so the definition has no other norms.
static void reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows();
    std::vector<double> norms;
    std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
    for (std::int64_t r = 0; r < rows; ++r) norms.push_back(norm(call.inputs[0].row_f32(r), call.inputs[0].shape.width()));
    draw(call, {norms.data(), order.data()});
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    return {{.inputs = {f32({1, 1})}, .attributes = {{"count", std::int64_t{1}}}, .tolerance = 0},
            {.inputs = {f32({50, 37})}, .attributes = {{"count", std::int64_t{15}}}, .tolerance = 0},
            {.inputs = {f32({301, 64})}, .attributes = {{"count", std::int64_t{300}}}, .tolerance = 0}};
}

static const Kernel kernels[] = {{.name = "plain", .doc = "norms in parallel, then the draws one after the other", .run = {{&run}}}};

}  // namespace tailor::ops::sample_rows_kernels

namespace tailor::ops::entries {
extern const Op sample_rows = {
    .name = "sample_rows",
    .doc = "x [rows, width], attribute count -> [count, width + 1]: rows drawn by their norms, scaled so that sums over rows are right on average, and each one's number",
    .shape = &sample_rows_kernels::shape,
    .reference = &sample_rows_kernels::reference,
    .kernels = sample_rows_kernels::kernels,
    .cost = &sample_rows_kernels::cost,
    .scratch_bytes = &sample_rows_kernels::scratch_bytes,
    .cases = &sample_rows_kernels::cases,
    .not_differentiable = "which rows are drawn jumps",
};
}  // namespace tailor::ops::entries
