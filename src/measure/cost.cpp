// Timing of one matrix product under the conditions of a whole model; see cost.h.
#include "measure/cost.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "core/statistics.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "graph/plan.h"
#include "measure/machine.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::measure {

// Passes over all copies; the median of their times is kept.
constexpr int passes = 7;
// A pass of small copies is repeated until it takes this long, so that the clock's and the scheduler's grain vanish.
constexpr double least_pass_seconds = 2e-3;
// Above this many rows the product is limited by arithmetic, not by where the weights lie: one copy is enough.
constexpr std::int64_t few_rows = 16;

std::uint64_t last_level_cache_bytes() {
    for (const int level : {3, 2})
        if (const std::int64_t bytes = cache_bytes(level); bytes > 0) return static_cast<std::uint64_t>(bytes);
    return 32u << 20;
}

std::uint64_t working_set(std::uint64_t model_bytes, std::uint64_t cache_bytes) {
    std::uint64_t bytes = 1u << 20;
    while (bytes < model_bytes && bytes < 4 * cache_bytes) bytes *= 2;
    return bytes;
}

CostModel::CostModel(core::Pool& pool, cpu::Isa isa, Store& store) : pool_(pool), isa_(isa), store_(store) {}

namespace {

// A weight of random codes: one encoded row set, repeated, since time does not depend on the values.
core::Tensor random_weight(const formats::Format& format, std::int64_t n, std::int64_t k) {
    core::Tensor weight = formats::make_tensor(format, {n, k});
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.02f);
    std::vector<float> row(static_cast<std::size_t>(k));
    const std::int64_t encoded = std::min<std::int64_t>(n, 4);
    for (std::int64_t r = 0; r < encoded; ++r) {
        for (float& value : row) value = normal(random);
        format.encode(row.data(), nullptr, weight.row(r), k);
    }
    for (std::int64_t r = encoded; r < n; ++r) std::memcpy(weight.row(r), weight.row(r % encoded), static_cast<std::size_t>(weight.row_stride_bytes));
    return weight;
}

// `copies` products of one x with different weights, which lie as a session would lay them.
graph::Graph product_graph(const formats::Format& format, std::int64_t n, std::int64_t k, std::int64_t rows, std::int64_t copies, core::Pool& pool) {
    graph::Graph g;
    const graph::Value x = g.input("x", ops::f32({rows, k}));
    const core::Tensor in_rows = random_weight(format, n, k);
    for (std::int64_t c = 0; c < copies; ++c) {
        const core::Tensor weight = formats::has_panels(format) ? formats::make_panels(in_rows, &pool) : c == 0 ? in_rows : random_weight(format, n, k);
        g.output(g.add("matmul", {x, g.constant("w" + std::to_string(c), weight)}));
    }
    return g;
}

struct Timing {
    double nanoseconds, spread;
};

Timing time_products(graph::Plan& plan, std::int64_t copies, std::int64_t rows) {
    using Clock = std::chrono::steady_clock;
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(rows));
    const ops::Batch batch{zeros, zeros};
    std::int64_t repeats = 1;
    std::vector<double> times;
    for (int pass = -1; pass < passes; ++pass) {  // the first one warms up and sets the number of repeats
        const auto start = Clock::now();
        for (std::int64_t r = 0; r < repeats; ++r) plan.run(batch);
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        if (pass < 0) repeats = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(least_pass_seconds / seconds)));
        else times.push_back(seconds * 1e9 / static_cast<double>(repeats * copies));
        if (seconds > 0.1 && times.size() >= 3) break;
    }
    return {core::median(times), core::median_absolute_deviation(times)};
}

std::int64_t kernel_version() {
    std::int64_t version = 0;
    for (const ops::Kernel& kernel : ops::get("matmul").kernels) version = version * 100 + kernel.version;
    return version;
}

}  // namespace

double CostModel::matmul_nanoseconds(const formats::Format& format, std::int64_t n, std::int64_t k, std::int64_t rows, std::uint64_t model_bytes) {
    const std::uint64_t set = rows > few_rows ? 0 : working_set(model_bytes, last_level_cache_bytes());
    const CostKey key{processor_identity(), cpu::name(isa_), pool_.threads(), kernel_version(), core::format("matmul of panels in {} MiB", set >> 20),
                      std::string(format.name), n, k, rows};
    if (const auto stored = store_.find_time(key)) return *stored;
    const auto bytes = static_cast<std::uint64_t>(formats::tensor_bytes(format, {n, k}));
    const auto copies = static_cast<std::int64_t>(std::max<std::uint64_t>(1, set / std::max<std::uint64_t>(bytes, 1)));
    graph::Plan plan(product_graph(format, n, k, rows, copies, pool_), pool_, {.isa = isa_});
    const core::Tensor x = formats::make_tensor(formats::get("f32"), {rows, k});
    const core::Tensor arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
    for (std::int64_t i = 0; i < rows * k; ++i) x.row_f32(0)[i] = static_cast<float>(i % 13 - 6) * 0.1f;
    plan.set_input("x", x.data);
    plan.bind(arena.data, {});
    const Timing timing = time_products(plan, copies, rows);
    store_.put_time(key, timing.nanoseconds, passes, timing.spread);
    ++measured_;
    return timing.nanoseconds;
}

}  // namespace tailor::measure
