// Column sum: the sum over all rows of each column of x, or of x times y.
//
// The gradient of whatever one row of numbers does to many rows: a bias (x is the gradient of the result) or a weight per column (x
// times what the weight multiplied). A unit of work is a few columns down all rows, in order, so that the sums have the same bits
// for any number of threads.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/column_sum.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::column_sum_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// Columns of a unit: sums of 64 rows stay in registers and in the first-level cache, and 512 bytes of a row are whole lines.
constexpr std::int64_t unit_columns = 128, block_rows = 64;

/// Adds rows [first, end) of columns [begin, begin + count) to `sums`.
static void add_rows(const core::Tensor& x, const core::Tensor* y, std::int64_t first, std::int64_t end, std::int64_t begin, std::int64_t count, float* sums) noexcept {
    for (std::int64_t r = first; r < end; ++r) {
        const float *const a = x.row_f32(r) + begin, *const b = y ? y->row_f32(r) + begin : nullptr;
        std::int64_t i = 0;
        for (; i + lanes <= count; i += lanes) store(sums + i, b ? fused(load(a + i), load(b + i), load(sums + i)) : load(sums + i) + load(a + i));
        for (; i < count; ++i) sums[i] += b ? a[i] * b[i] : a[i];
    }
}

// Sums of blocks of rows are added up, so that a thousand rows lose no more digits than a few dozen.
static void run(const Call& call) noexcept {
    const core::Tensor& x = call.inputs[0];
    const std::int64_t width = x.shape.width(), rows = x.shape.rows();
    float* const out = call.output.row_f32(0);
    call.pool->run((width + unit_columns - 1) / unit_columns, [&](std::int64_t c, int) {
        const std::int64_t begin = c * unit_columns, count = std::min(unit_columns, width - begin);
        std::fill_n(out + begin, count, 0.0f);
        for (std::int64_t r = 0; r < rows; r += block_rows) {
            float sums[unit_columns] = {};
            add_rows(x, call.input(1), r, std::min(rows, r + block_rows), begin, count, sums);
            for (std::int64_t i = 0; i < count; ++i) out[begin + i] += sums[i];
        }
    });
}

}  // namespace tailor::ops::column_sum_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::column_sum_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    if (node.input(1)) require_f32(node, 1), require(node.inputs[1].shape == node.inputs[0].shape, "column_sum: both factors must have one shape", node);
    return f32({node.inputs[0].shape.width()});
}

static void reference(const Call& call) {
    std::vector<double> sums(static_cast<std::size_t>(call.output.shape.width()));
    for (std::int64_t r = 0; r < call.inputs[0].shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r), y = call.input(1) ? row_as_double(*call.input(1), r) : std::vector<double>(x.size(), 1);
        for (std::size_t i = 0; i < x.size(); ++i) sums[i] += x[i] * y[i];
    }
    store_row(call.output, 0, sums);
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 3, 200})
        for (const std::int64_t width : {1, 37, 300})
            for (const bool product : {false, true}) list.push_back({.inputs = {f32({rows, width}), product ? f32({rows, width}) : TensorType{}}});
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const core::Shape shape = d.shape(0);
    const bool product = d.input(1) >= 0;
    // Every row gets the gradient of the sums.
    const auto spread = [&](Value over) { return d.graph.add("column_scale", {over, d.gradient}); };
    return {d.wants(0) ? spread(product ? d.input(1) : d.graph.filled(shape, 1)) : -1, d.wants(1) ? spread(d.input(0)) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "a few columns down the rows, in blocks of 64 rows", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::column_sum_kernels

namespace tailor::ops::entries {
extern const Op column_sum = {
    .name = "column_sum",
    .doc = "x [rows, width], optional y [rows, width] -> [width]: the sum over rows of x * y",
    .least_inputs = 1,
    .most_inputs = 2,
    .shape = &column_sum_kernels::shape,
    .reference = &column_sum_kernels::reference,
    .kernels = column_sum_kernels::kernels,
    .cost = &column_sum_kernels::cost,
    .cases = &column_sum_kernels::cases,
    .gradient = &column_sum_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
