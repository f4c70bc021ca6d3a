// How one row of activations times a q4_k matrix became as fast as memory: each step explained, checked and timed.
//
//     bench_ladder_matmul_q4_k [threads, default all]
//
// Decoding a token reads every weight once, so the goal is the time in which memory delivers 4.5 bits per weight. The steps:
//   1  Decode a row of weights to floats, then take its dot product with x: plain loops, as anyone would write them first.
//   2  The same with vectors: a decoder written over sixteen codes at a time, the decoded piece kept in the first-level cache,
//      the products on four sums. The limit is now the conversion of every code to a float: one widening, one conversion
//      and one multiplication for sixteen values, and a store and a load to hand them on.
//   3  Do not convert codes at all. Activations become 16-bit integers with a scale per 32 (error 2e-5), codes are multiplied as
//      integers, and a float appears once per 32 values. For that sixteen rows must lie side by side, so that a register
//      holds the same columns of sixteen rows and nothing is summed across it: the panel (formats/panels.h), made once.
//      Multiplying 16-bit words, codes have to be spread to words first.
//   4  Keep the codes as bytes: a 16-bit activation is two signed bytes, 256 high + low, and the byte product of AVX-512 VNNI
//      takes unsigned codes times signed bytes, 64 at a time. Unpacking is one shift and two masks for 128 codes. Scales
//      stand before their codes in one stream: the same kernel with all scales of a panel in front reads 35 GB/s where this
//      one reads 47, since the processor fetches ahead along one stream best.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "core/statistics.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "measure/machine.h"
#include "ops/registry.h"
#include "ops/support.h"

using namespace tailor;

namespace {

constexpr std::int64_t n = 5632, k = 2048, copies = 20;  // 130 MB: more than caches hold

struct Problem {
    core::Pool& pool;
    core::Tensor x, y;
    std::vector<core::Tensor> rows, panels;  ///< copies of the weights, used in turn
};

void plain(const Problem& p, std::size_t copy) {
    const core::Tensor& w = p.rows[copy];
    std::vector<float> row(k);
    for (std::int64_t j = 0; j < n; ++j) {
        w.format->decode.at(cpu::Isa::base)(w.row(j), row.data(), k);
        float total = 0;
        for (std::int64_t i = 0; i < k; ++i) total += row[static_cast<std::size_t>(i)] * p.x.row_f32(0)[i];
        p.y.row_f32(0)[j] = total;
    }
}

// A kernel of the operator by its name; false if this processor cannot run it.
bool kernel(const Problem& p, std::size_t copy, std::string_view name) {
    static const ops::Attributes none;
    static const std::vector<std::int32_t> zero{0};
    static const core::Tensor scratch = formats::make_tensor(formats::get("f32"), {4 * k});
    for (const ops::Kernel& candidate : ops::get("matmul").kernels) {
        if (candidate.name != name || !candidate.run.at(cpu::active_isa())) continue;
        const std::vector<core::Tensor> inputs{p.x, name == "rows" ? p.rows[copy] : p.panels[copy]};
        candidate.run.at(cpu::active_isa())({none, inputs, p.y, {}, {zero, zero}, &p.pool, cpu::active_isa(), scratch.data});
        return true;
    }
    return false;
}

bool step(const Problem& p, int number, std::size_t copy) {
    switch (number) {
        case 1: plain(p, copy); return true;
        case 2: return kernel(p, copy, "rows");
        case 3: return kernel(p, copy, "panel_words");
        default: return kernel(p, copy, "panel_bytes");
    }
}

double largest_error(const core::Tensor& actual, const std::vector<double>& expected) {
    double worst = 0, largest = 0;
    for (std::int64_t j = 0; j < n; ++j) {
        worst = std::max(worst, std::fabs(actual.row_f32(0)[j] - expected[static_cast<std::size_t>(j)]));
        largest = std::max(largest, std::fabs(expected[static_cast<std::size_t>(j)]));
    }
    return worst / largest;
}

Problem make_problem(core::Pool& pool) {
    const formats::Format& q4_k = formats::get("q4_k");
    Problem p{pool, formats::make_tensor(formats::get("f32"), {1, k}), formats::make_tensor(formats::get("f32"), {1, n}), {}, {}};
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < k; ++i) p.x.row_f32(0)[i] = normal(random);
    const core::Tensor first = formats::make_tensor(q4_k, {n, k});
    std::vector<float> row(k);
    for (std::int64_t j = 0; j < 64; ++j) {
        for (float& value : row) value = normal(random);
        q4_k.encode(row.data(), nullptr, first.row(j), k);
    }
    for (std::int64_t j = 64; j < n; ++j) std::memcpy(first.row(j), first.row(j % 64), static_cast<std::size_t>(first.row_stride_bytes));
    for (std::int64_t c = 0; c < copies; ++c) {
        p.rows.push_back(formats::make_tensor(q4_k, {n, k}));
        std::memcpy(p.rows.back().data, first.data, static_cast<std::size_t>(formats::tensor_bytes(q4_k, first.shape)));
        p.panels.push_back(formats::make_panels(first, &pool));
    }
    return p;
}

}  // namespace

int main(int count, char** arguments) {
    core::Pool pool(count > 1 ? std::atoi(arguments[1]) : 0);
    const Problem p = make_problem(pool);
    std::vector<double> expected;
    const std::vector<double> x = ops::row_as_double(p.x, 0);
    for (std::int64_t j = 0; j < n; ++j) {
        double total = 0;
        const std::vector<double> w = ops::row_as_double(p.rows[0], j);
        for (std::size_t i = 0; i < w.size(); ++i) total += w[i] * x[i];
        expected.push_back(total);
    }
    measure::ReadMeter meter(pool, cpu::active_isa());
    const double bytes = static_cast<double>(formats::tensor_bytes(formats::get("q4_k"), {n, k}));
    std::vector<double> readings, times[5];
    for (int pass = 0; pass < 6; ++pass) {  // the steps take turns; the first pass warms up
        for (int number = 1; number <= 4; ++number) {
            const std::size_t used = number == 1 ? 2 : static_cast<std::size_t>(copies);
            const auto start = std::chrono::steady_clock::now();
            bool ran = true;
            for (std::size_t c = 0; c < used; ++c) ran &= step(p, number, c);
            const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(used);
            if (ran && pass > 0) times[number].push_back(seconds);
        }
        readings.push_back(meter.bytes_per_second());
    }
    const double bandwidth = core::median(readings);
    std::printf("y[%lld] = W[%lld, %lld] x in q4_k, %d threads; memory reads %.1f GB/s\n", static_cast<long long>(n), static_cast<long long>(n),
                static_cast<long long>(k), pool.threads(), bandwidth * 1e-9);
    bool right = true;
    for (int number = 1; number <= 4; ++number) {
        if (times[number].empty()) {
            std::printf("step %d: needs AVX-512 VNNI, which this processor lacks\n", number);
            continue;
        }
        step(p, number, 0);
        const double error = largest_error(p.y, expected), seconds = core::median(times[number]);
        right &= error < 1e-4;
        std::printf("step %d: %9.1f us  %6.2f GB/s  %5.1f %% of reading  error %.1e%s\n", number, seconds * 1e6, bytes / seconds * 1e-9,
                    100 * bytes / seconds / bandwidth, error, error < 1e-4 ? "" : "  WRONG");
    }
    return right ? 0 : 1;
}
