// Timing of one matrix product under the conditions of a whole model; see cost.h.
#include "measure/cost.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "core/statistics.h"
#include "cpu/caches.h"
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

std::uint64_t last_level_cache_bytes() {
    for (const int level : {3, 2})
        if (const std::int64_t bytes = cpu::cache_bytes(level); bytes > 0) return static_cast<std::uint64_t>(bytes);
    return 32u << 20;
}

std::uint64_t working_set(std::uint64_t model_bytes, std::uint64_t cache_bytes) {
    std::uint64_t bytes = 1u << 20;
    while (bytes < model_bytes && bytes < 4 * cache_bytes) bytes *= 2;
    return bytes;
}

core::Tensor random_weight(const formats::Format& format, const core::Shape& shape) {
    core::Tensor weight = formats::make_tensor(format, shape);
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.02f);
    std::vector<float> row(static_cast<std::size_t>(shape.width()));
    const std::int64_t encoded = std::min<std::int64_t>(shape.rows(), 4);
    for (std::int64_t r = 0; r < encoded; ++r) {
        for (float& value : row) value = normal(random);
        format.encode(row.data(), nullptr, weight.row(r), shape.width());
    }
    for (std::int64_t r = encoded; r < shape.rows(); ++r) std::memcpy(weight.row(r), weight.row(r % encoded), static_cast<std::size_t>(weight.row_stride_bytes));
    return weight;
}

std::int64_t kernel_version(std::string_view op) {
    std::uint64_t version = 0;
    for (const ops::Kernel& kernel : ops::get(op).kernels) version = version * 1'000'003 + static_cast<std::uint64_t>(kernel.version);
    return static_cast<std::int64_t>(version);
}

CostModel::CostModel(core::Pool& pool, graph::PlanOptions options, Store& store) : pool_(pool), options_(std::move(options)), store_(store) {}

namespace {

core::Shape weight_shape(const Product& p) { return p.experts ? core::Shape{p.experts, p.n, p.k} : core::Shape{p.n, p.k}; }
std::int64_t rows_of_x(const Product& p) { return p.own_rows ? p.rows * p.used : p.rows; }

// `copies` products of one x with different weights, which lie as a session would lay them.
graph::Graph product_graph(const formats::Format& format, const Product& p, std::int64_t copies, core::Pool& pool) {
    graph::Graph g;
    const graph::Value x = g.input("x", ops::f32({rows_of_x(p), p.k}));
    const graph::Value ids = p.experts ? g.input("ids", ops::i32({p.rows, p.used})) : graph::absent;
    const core::Tensor in_rows = random_weight(format, weight_shape(p));
    for (std::int64_t c = 0; c < copies; ++c) {
        const core::Tensor weight = formats::has_panels(format) ? formats::make_panels(in_rows, &pool) : c == 0 ? in_rows : random_weight(format, weight_shape(p));
        const graph::Value w = g.constant("w" + std::to_string(c), weight);
        g.output(p.experts ? g.add("expert_matmul", {x, w, ids}) : g.add("matmul", {x, w}));
    }
    return g;
}

// The experts of each row: different ones, and others in the next turn, since neighbouring tokens seldom share theirs.
void choose_experts(const Product& p, std::int64_t turn, std::vector<std::int32_t>& ids) {
    for (std::int64_t r = 0; r < p.rows; ++r)
        for (std::int64_t j = 0; j < p.used; ++j)
            ids[static_cast<std::size_t>(r * p.used + j)] = static_cast<std::int32_t>((turn + r * 7 + j * (p.experts / p.used)) % p.experts);
}

struct Timing {
    double nanoseconds, spread;
};

Timing time_products(graph::Plan& plan, const Product& product, std::int64_t copies, std::vector<std::int32_t>& ids) {
    using Clock = std::chrono::steady_clock;
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(product.rows));
    const ops::Batch batch{zeros, zeros};
    std::int64_t repeats = 1, turn = 0;
    std::vector<double> times;
    for (int pass = -1; pass < passes; ++pass) {  // the first one warms up and sets the number of repeats
        const auto start = Clock::now();
        for (std::int64_t r = 0; r < repeats; ++r) {
            if (product.experts) choose_experts(product, ++turn, ids);
            plan.run(batch);
        }
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        if (pass < 0) repeats = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(least_pass_seconds / seconds)));
        else times.push_back(seconds * 1e9 / static_cast<double>(repeats * copies));
        if (seconds > 0.1 && times.size() >= 3) break;
    }
    return {core::median(times), core::median_absolute_deviation(times)};
}

// What a step reads of the weight: of experts the share that its rows reach.
std::uint64_t bytes_read(const formats::Format& format, const Product& p) {
    const std::int64_t read = p.experts ? std::min(p.experts, p.rows * p.used) : 1;
    return static_cast<std::uint64_t>(formats::tensor_bytes(format, {read * p.n, p.k}));
}

}  // namespace

double CostModel::nanoseconds(const formats::Format& format, const Product& p, std::uint64_t model_bytes) {
    const std::uint64_t set = p.rows > few_rows ? 0 : working_set(model_bytes, last_level_cache_bytes());
    const std::string op = p.experts ? core::format("expert_matmul {} of {}{}", p.used, p.experts, p.own_rows ? " own" : "") : "matmul";
    const CostKey key{processor_identity(), cpu::name(options_.isa), pool_.threads(), kernel_version(p.experts ? "expert_matmul" : "matmul"),
                      core::format("{} of panels in {} MiB, error {}", op, set >> 20, options_.most_error), std::string(format.name), p.n, p.k, p.rows};
    if (const auto stored = store_.find_time(key)) return *stored;
    const auto copies = static_cast<std::int64_t>(std::max<std::uint64_t>(1, set / std::max<std::uint64_t>(bytes_read(format, p), 1)));
    // Turns lead through all experts of a copy, so experts need fewer copies to pass as many bytes.
    const std::int64_t needed = p.experts ? std::max<std::int64_t>(1, copies * p.used / p.experts) : copies;
    graph::Plan plan(product_graph(format, p, needed, pool_), pool_, options_);
    const core::Tensor x = formats::make_tensor(formats::get("f32"), {rows_of_x(p), p.k});
    const core::Tensor arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
    for (std::int64_t i = 0; i < x.shape.elements(); ++i) x.row_f32(0)[i] = static_cast<float>(i % 13 - 6) * 0.1f;
    std::vector<std::int32_t> ids(static_cast<std::size_t>(p.rows * p.used));
    plan.set_input("x", x.data);
    if (p.experts) plan.set_input("ids", ids.data());
    plan.bind(arena.data, {});
    const Timing timing = time_products(plan, p, needed, ids);
    store_.put_time(key, timing.nanoseconds, passes, timing.spread);
    ++measured_;
    return timing.nanoseconds;
}

}  // namespace tailor::measure
