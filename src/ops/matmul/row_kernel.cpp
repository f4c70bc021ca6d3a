// Matrix times a few rows: y[r, j] = sum over i of x[r, i] * w[j, i], for at most `few_rows` rows of x.
//
// Decoding one token reads every weight once and uses it once, so memory is the limit: each packed weight row is decoded
// in pieces of 1,024 values into a buffer that stays in the first-level cache, and multiplied there with every row of x.
// Each output value is computed by one thread in a fixed order of additions.
#include <algorithm>

#include "cpu/simd.h"
#include "ops/matmul/kernels.h"

#define TAILOR_THIS_FILE "ops/matmul/row_kernel.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::matmul_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// 4 KB of decoded weights: with the x piece of the same length it fits the smallest first-level cache, 32 KB.
constexpr std::int64_t piece = 1024;
// Weight rows per unit of work; small enough to balance two threads on a 256-row matrix.
constexpr std::int64_t weight_rows_per_chunk = 16;

// Adds the products of one decoded piece to the sums of `Rows` rows.
template <int Rows>
static void accumulate(const float* w, const float* const* x, std::int64_t count, Vector (&sums)[Rows][2], float (&tails)[Rows]) noexcept {
    std::int64_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
        const Vector w0 = load(w + i), w1 = load(w + i + lanes);
        for (int r = 0; r < Rows; ++r) {
            sums[r][0] = fused(w0, load(x[r] + i), sums[r][0]);
            sums[r][1] = fused(w1, load(x[r] + i + lanes), sums[r][1]);
        }
    }
    for (; i < count; ++i)
        for (int r = 0; r < Rows; ++r) tails[r] += w[i] * x[r][i];
}

template <int Rows>
static void multiply(const Call& call, std::int64_t row, std::int64_t begin, std::int64_t end) noexcept {
    const core::Tensor &x = call.inputs[0], &w = call.inputs[1];
    const std::int64_t k = x.shape.width();
    const formats::Decode decode = w.format->decode.at(call.isa);
    const float* const bias = call.input(2) ? call.input(2)->row_f32(0) : nullptr;
    const bool in_place = w.format->bytes_per_block == 4 && w.format->values_per_block == 1;  // f32 needs no decoding
    alignas(64) float buffer[piece];
    for (std::int64_t j = begin; j < end; ++j) {
        Vector sums[Rows][2] = {};
        float tails[Rows] = {};
        for (std::int64_t i = 0; i < k; i += piece) {
            const std::int64_t count = std::min(piece, k - i);
            const std::byte* const packed = w.row(j) + i / w.format->values_per_block * w.format->bytes_per_block;
            const float* values = buffer;
            if (in_place) values = reinterpret_cast<const float*>(packed);
            else decode(packed, buffer, count);
            const float* rows[Rows];
            for (int r = 0; r < Rows; ++r) rows[r] = x.row_f32(row + r) + i;
            accumulate<Rows>(values, rows, count, sums, tails);
        }
        for (int r = 0; r < Rows; ++r) call.output.row_f32(row + r)[j] = sum(sums[r][0] + sums[r][1]) + tails[r] + (bias ? bias[j] : 0.0f);
    }
}

static void multiply_rows(const Call& call, std::int64_t begin, std::int64_t end) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows();
    std::int64_t r = 0;
    for (; r + 4 <= rows; r += 4) multiply<4>(call, r, begin, end);
    if (rows - r == 3) multiply<3>(call, r, begin, end);
    if (rows - r == 2) multiply<2>(call, r, begin, end);
    if (rows - r == 1) multiply<1>(call, r, begin, end);
}

static void run(const Call& call) noexcept {
    const std::int64_t n = call.inputs[1].shape[0];
    call.pool->run((n + weight_rows_per_chunk - 1) / weight_rows_per_chunk, [&](std::int64_t c, int) {
        multiply_rows(call, c * weight_rows_per_chunk, std::min(n, (c + 1) * weight_rows_per_chunk));
    });
}

}  // namespace tailor::ops::matmul_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::matmul_kernels {
const cpu::PerIsa<Run> row_kernel = TAILOR_EACH_ISA(run);
}
#endif
