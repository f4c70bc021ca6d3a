// Adafactor: mean squares of a matrix from the sums of its rows and columns alone, so that almost nothing is remembered.
//
//     b = 1 - t^-0.8,   R_i = b R_i + (1 - b) sum_j (g_ij^2 + 1e-30),   C_j likewise over i,   V_ij = R_i C_j / sum R
//     u = g / sqrt(V),  u = u / max(1, rms(u)),   w = w - rate (max(1e-3, rms(w)) u + decay w)
// Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, algorithms 4 and 5. Rates are relative to the
// size of the weights; there is no momentum. Sums run along chunks of fixed borders, in double.
#include <algorithm>
#include <cmath>

#include "train/optimizers/optimizer.h"

namespace tailor::train::optimizers {

static constexpr double least_square = 1e-30, least_size = 1e-3, most_update = 1;

static std::vector<StatePart> adafactor_state(const Parameter& p) {
    if (!p.is_matrix()) return {{"square", 4 * p.numbers()}};
    return {{"rows", 4 * p.matrices() * p.rows()}, {"columns", 4 * p.matrices() * p.columns()}};
}

/// The sum of value(i) for i in [0, numbers); the same bits for any number of threads.
template <class Value>
static double sum(core::Pool& pool, std::int64_t numbers, const Value& value) {
    std::vector<double> sums(static_cast<std::size_t>((numbers + chunk - 1) / chunk));
    for_chunks(pool, numbers, [&](std::int64_t begin, std::int64_t end) {
        double total = 0;
        for (std::int64_t i = begin; i < end; ++i) total += value(i);
        sums[static_cast<std::size_t>(begin / chunk)] = total;
    });
    double total = 0;
    for (const double s : sums) total += s;
    return total;
}

static double square(double x) { return x * x; }

/// Moves `numbers` weights against g / sqrt(V), where inverse_root(i) is 1 / sqrt(V_i).
template <class InverseRoot>
static void move(const Update& u, float* weights, const float* gradient, std::int64_t numbers, const InverseRoot& inverse_root) {
    const double count = static_cast<double>(numbers);
    const double update = std::sqrt(sum(u.pool, numbers, [&](std::int64_t i) { return square(static_cast<double>(gradient[i]) * u.gradient_scale * inverse_root(i)); }) / count);
    const double size = std::sqrt(sum(u.pool, numbers, [&](std::int64_t i) { return square(static_cast<double>(weights[i])); }) / count);
    const double pace = u.rate * std::max(least_size, size) * u.gradient_scale / std::max(1.0, update / most_update), kept = 1 - u.rate * u.weight_decay;
    for_chunks(u.pool, numbers, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            weights[i] = static_cast<float>(static_cast<double>(weights[i]) * kept - pace * static_cast<double>(gradient[i]) * inverse_root(i));
    });
}

/// One matrix: its factors first, then the step.
static void move_matrix(const Update& u, std::int64_t matrix, double kept) {
    const std::int64_t rows = u.parameter.rows(), columns = u.parameter.columns();
    float* const weights = u.weights + matrix * rows * columns;
    const float* const gradient = u.gradient + matrix * rows * columns;
    float *const r = u.state.part<float>(0) + matrix * rows, *const c = u.state.part<float>(1) + matrix * columns;
    const auto value = [&](std::int64_t i, std::int64_t j) { return square(static_cast<double>(gradient[i * columns + j]) * u.gradient_scale) + least_square; };
    u.pool.run(rows, [&](std::int64_t i, int) {
        double total = 0;
        for (std::int64_t j = 0; j < columns; ++j) total += value(i, j);
        r[i] = static_cast<float>(kept * static_cast<double>(r[i]) + (1 - kept) * total);
    });
    // Strips of 64 columns: a few cache lines of each row.
    constexpr std::int64_t strip = 64;
    u.pool.run((columns + strip - 1) / strip, [&](std::int64_t s, int) {
        double totals[strip] = {};
        const std::int64_t begin = s * strip, end = std::min(columns, begin + strip);
        for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = begin; j < end; ++j) totals[j - begin] += value(i, j);
        for (std::int64_t j = begin; j < end; ++j) c[j] = static_cast<float>(kept * static_cast<double>(c[j]) + (1 - kept) * totals[j - begin]);
    });
    double total = 0;
    for (std::int64_t i = 0; i < rows; ++i) total += static_cast<double>(r[i]);
    std::vector<double> by_row(static_cast<std::size_t>(rows)), by_column(static_cast<std::size_t>(columns));
    // Below f32's range a factor is 0 where every gradient was; then the quotient is 0 too.
    const auto inverse_root = [](double x) { return x > 0 ? 1 / std::sqrt(x) : 0; };
    for (std::int64_t i = 0; i < rows; ++i) by_row[static_cast<std::size_t>(i)] = inverse_root(static_cast<double>(r[i])) * std::sqrt(total);
    for (std::int64_t j = 0; j < columns; ++j) by_column[static_cast<std::size_t>(j)] = inverse_root(static_cast<double>(c[j]));
    move(u, weights, gradient, rows * columns, [&](std::int64_t i) { return by_row[static_cast<std::size_t>(i / columns)] * by_column[static_cast<std::size_t>(i % columns)]; });
}

static void adafactor_update(const Update& u) {
    const double kept = 1 - std::pow(static_cast<double>(u.step), -0.8);
    if (u.parameter.is_matrix()) {
        for (std::int64_t matrix = 0; matrix < u.parameter.matrices(); ++matrix) move_matrix(u, matrix, kept);
        return;
    }
    float* const v = u.state.part<float>(0);
    for (std::int64_t i = 0; i < u.parameter.numbers(); ++i)
        v[i] = static_cast<float>(kept * static_cast<double>(v[i]) + (1 - kept) * (square(static_cast<double>(u.gradient[i]) * u.gradient_scale) + least_square));
    move(u, u.weights, u.gradient, u.parameter.numbers(), [&](std::int64_t i) { return v[i] > 0 ? 1 / std::sqrt(static_cast<double>(v[i])) : 0; });
}

namespace entries {
extern const Optimizer adafactor = {
    .name = "adafactor",
    .doc = "mean squares of rows and columns alone, rates relative to the weights; some bytes per row",
    .rate = 2e-2,
    .weight_decay = 0,
    .state = &adafactor_state,
    .update = &adafactor_update,
};
}  // namespace entries
}  // namespace tailor::train::optimizers
