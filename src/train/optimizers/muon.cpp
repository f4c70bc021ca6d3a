// Muon: the momentum of a matrix with all its singular values made nearly equal.
//
//     M = 0.95 M + G,   X = (G + 0.95 M) / |G + 0.95 M|,   five times:  A = X X^T,  X = 3.4445 X + (-4.7750 A + 2.0315 A A) X
//     W = W - rate (0.2 sqrt(max(m, n)) X + decay W)
// Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, with its coefficients of the Newton-Schulz iteration;
// the factor 0.2 sqrt(max(m, n)), equation 4 of Liu et al., "Muon is Scalable for LLM Training", 2025, gives updates the size of AdamW's,
// so that one rate serves both. Embeddings, the output matrix and all vectors are AdamW's. A taller matrix is worked on transposed, which
// the iteration does not see; A and its polynomial are symmetric, so both products take them from either side (ops/product.h).
#include <algorithm>
#include <cmath>

#include "formats/registry.h"
#include "ops/product.h"
#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

namespace entries {
extern const Optimizer adamw;
}

static constexpr float momentum_kept = 0.95f;
static constexpr int iterations = 5;
static constexpr float linear = 3.4445f, cubic = -4.7750f, quintic = 2.0315f;

static bool is_hidden(const Parameter& parameter) {
    return parameter.is_matrix() && parameter.name != "token_embd.weight" && parameter.name != "output.weight";
}

static core::Tensor matrix(std::int64_t rows, std::int64_t columns) { return formats::make_tensor(formats::get("f32"), {rows, columns}); }

/// C = A B.
static void multiply(const Update& u, const core::Tensor& a, const core::Tensor& b, const core::Tensor& c, const core::Tensor& scratch) {
    ops::run_product.at(u.isa)({a.row_f32(0), a.row_stride_bytes / 4, 1, b, c.row_f32(0), c.row_stride_bytes / 4, a.shape.rows()}, u.pool, u.isa, scratch.data);
}

static void transpose(core::Pool& pool, const core::Tensor& from, const core::Tensor& to) {
    // Squares of 32: both sides stay in the first cache.
    constexpr std::int64_t tile = 32;
    const std::int64_t rows = from.shape.rows(), columns = from.shape.width();
    pool.run((rows + tile - 1) / tile, [&](std::int64_t t, int) {
        for (std::int64_t j0 = 0; j0 < columns; j0 += tile)
            for (std::int64_t i = t * tile; i < std::min(rows, (t + 1) * tile); ++i)
                for (std::int64_t j = j0; j < std::min(columns, j0 + tile); ++j) to.row_f32(j)[i] = from.row_f32(i)[j];
    });
}

/// X [m, n], m <= n, becomes nearly orthogonal.
static void orthogonalize(const Update& u, core::Tensor& x) {
    const std::int64_t m = x.shape.rows(), n = x.shape.width();
    const core::Tensor transposed = matrix(n, m), a = matrix(m, m), square = matrix(m, m);
    core::Tensor next = matrix(m, n);
    const core::Tensor scratch = matrix(1, std::max(ops::product_scratch_bytes(m, n), ops::product_scratch_bytes(m, m)) / 4 + 1);
    for (int i = 0; i < iterations; ++i) {
        transpose(u.pool, x, transposed);
        multiply(u, x, transposed, a, scratch);
        multiply(u, a, a, square, scratch);
        for_chunks(u.pool, m * m, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t k = begin; k < end; ++k) a.row_f32(0)[k] = cubic * a.row_f32(0)[k] + quintic * square.row_f32(0)[k];
        });
        multiply(u, a, x, next, scratch);
        for_chunks(u.pool, m * n, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t k = begin; k < end; ++k) next.row_f32(0)[k] += linear * x.row_f32(0)[k];
        });
        std::swap(x, next);
    }
}

static void move_matrix(const Update& u, std::int64_t index) {
    const std::int64_t rows = u.parameter.rows(), columns = u.parameter.columns(), numbers = rows * columns;
    float *const weights = u.weights + index * numbers, *const momentum = u.state.part<float>(0) + index * numbers;
    const float* const gradient = u.gradient + index * numbers;
    const auto scale = static_cast<float>(u.gradient_scale);
    core::Tensor x = matrix(rows, columns);
    std::vector<double> squares(static_cast<std::size_t>((numbers + chunk - 1) / chunk));
    for_chunks(u.pool, numbers, [&](std::int64_t begin, std::int64_t end) {
        double total = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            const float g = gradient[i] * scale;
            momentum[i] = momentum_kept * momentum[i] + g;
            const float ahead = g + momentum_kept * momentum[i];
            x.row_f32(0)[i] = ahead;
            total += static_cast<double>(ahead) * static_cast<double>(ahead);
        }
        squares[static_cast<std::size_t>(begin / chunk)] = total;
    });
    double norm = 0;
    for (const double s : squares) norm += s;
    const auto shrink = static_cast<float>(norm > 0 ? 1 / std::sqrt(norm) : 0);
    for_chunks(u.pool, numbers, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) x.row_f32(0)[i] *= shrink;
    });
    if (rows > columns) {
        core::Tensor wide = matrix(columns, rows);
        transpose(u.pool, x, wide);
        orthogonalize(u, wide);
        transpose(u.pool, wide, x);
    } else {
        orthogonalize(u, x);
    }
    const auto pace = static_cast<float>(u.rate * 0.2 * std::sqrt(static_cast<double>(std::max(rows, columns)))), kept = static_cast<float>(1 - u.rate * u.weight_decay);
    for_chunks(u.pool, numbers, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) weights[i] = weights[i] * kept - pace * x.row_f32(0)[i];
    });
}

static std::vector<StatePart> muon_state(const Parameter& parameter) {
    if (!is_hidden(parameter)) return entries::adamw.state(parameter);
    return {{"momentum", 4 * parameter.numbers()}};
}

static void muon_update(const Update& u) {
    if (!is_hidden(u.parameter)) return entries::adamw.update(u);
    for (std::int64_t i = 0; i < u.parameter.matrices(); ++i) move_matrix(u, i);
}

namespace entries {
extern const Optimizer muon = {
    .name = "muon",
    .doc = "momentum of matrices made orthogonal, AdamW for all else; 4 bytes per weight of a matrix",
    .rate = 2e-3,
    .weight_decay = 0.1,
    .state = &muon_state,
    .update = &muon_update,
};
}  // namespace entries
}  // namespace tailor::train::optimizers
