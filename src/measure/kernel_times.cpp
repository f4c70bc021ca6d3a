// Timing kernels side by side, and choosing by it; see kernel_times.h.
#include "measure/kernel_times.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/statistics.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "measure/cost.h"
#include "measure/machine.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::measure {

// A change of kernel is worth this much, with the next fewer or more rows as well: less is noise, and the list has its reasons.
constexpr double least_gain = 0.05;
constexpr double least_pass_seconds = 2e-3;

const ops::Kernel* KernelTimes::fastest(std::span<const ops::Kernel* const> candidates, const ops::NodeView& node) const {
    if (rows.empty() || candidates.empty()) return nullptr;
    const auto wanted = static_cast<double>(node.inputs[0].shape.rows());
    const auto distance = [&](std::int64_t r) { return std::fabs(std::log(static_cast<double>(r) / wanted)); };
    const auto at = static_cast<std::size_t>(std::min_element(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) { return distance(a) < distance(b); }) - rows.begin());
    const auto time_of = [&](const ops::Kernel* candidate, std::size_t i) {
        for (const Kernel& kernel : kernels)
            if (kernel.name == candidate->name) return kernel.nanoseconds[i];
        return 0.0;
    };
    const ops::Kernel *const listed = ops::listed_first(candidates, node), *best = listed;
    for (const ops::Kernel* candidate : candidates) {
        if (time_of(candidate, at) <= 0) return nullptr;
        if (time_of(candidate, at) < time_of(best, at)) best = candidate;
    }
    const auto gains = [&](std::size_t i) { return i < rows.size() && time_of(best, i) < (1 - least_gain) * time_of(listed, i); };
    return gains(at) && (gains(at - 1) || gains(at + 1)) ? best : listed;
}

namespace {

constexpr char kind[] = "kernel times";

std::string key_of(const formats::Format& format, cpu::Isa isa, int threads) {
    return core::format("{}, {}, {} threads, matmul {}, {}", processor_identity(), cpu::name(isa), threads, kernel_version("matmul"), format.name);
}

KernelTimes times_of(const core::Json& json) {
    KernelTimes times;
    for (const core::Json& r : json.at("rows").items()) times.rows.push_back(r.integer());
    for (const auto& [name, list] : json.at("nanoseconds").members()) {
        KernelTimes::Kernel kernel{name, {}};
        for (const core::Json& ns : list.items()) kernel.nanoseconds.push_back(ns.number());
        if (kernel.nanoseconds.size() != times.rows.size()) core::fail(core::ErrorKind::format, "stored kernel times are incomplete");
        times.kernels.push_back(std::move(kernel));
    }
    return times;
}

// The same product with different weights, by one kernel.
struct Candidate {
    std::string name;
    std::unique_ptr<graph::Plan> plan;
    core::Tensor arena;
    std::int64_t repeats = 1;
    std::vector<double> seconds;
};

double time_pass(Candidate& c, const ops::Batch& batch) {
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < c.repeats; ++i) c.plan->run(batch);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(c.repeats);
}

graph::Graph products(std::span<const core::Tensor> weights, std::int64_t rows) {
    graph::Graph g;
    const graph::Value x = g.input("x", ops::f32({rows, weights[0].shape.width()}));
    for (std::size_t i = 0; i < weights.size(); ++i) g.output(g.add("matmul", {x, g.constant("w" + std::to_string(i), weights[i])}));
    return g;
}

std::vector<Candidate> candidates(const graph::Graph& g, core::Pool& pool, cpu::Isa isa, const ops::NodeView& view, const core::Tensor& x) {
    std::vector<Candidate> list;
    for (const ops::Kernel& kernel : ops::get("matmul").kernels) {
        if (!kernel.run.at(isa) || kernel.unit == ops::Unit::vector_bf16 || !kernel.can_run(view)) continue;
        Candidate c{std::string(kernel.name), {}, {}};
        c.plan = std::make_unique<graph::Plan>(g, pool, graph::PlanOptions{.isa = isa, .preference = [&kernel](const auto&...) { return &kernel; }});
        c.arena = formats::make_tensor(formats::get("f32"), {c.plan->arena_bytes() / 4 + 1});
        c.plan->set_input("x", x.data);
        c.plan->bind(c.arena.data, {});
        list.push_back(std::move(c));
    }
    return list;
}

}  // namespace

core::Json json(const KernelTimes& times) {
    core::Json nanoseconds;
    for (const KernelTimes::Kernel& kernel : times.kernels) nanoseconds.set(kernel.name, core::Json::array(kernel.nanoseconds));
    return core::Json().set("rows", core::Json::array(times.rows)).set("nanoseconds", nanoseconds);
}

std::optional<KernelTimes> find_kernel_times(const Store& store, const formats::Format& format, cpu::Isa isa, int threads) {
    const std::optional<core::Json> stored = store.find_json(kind, key_of(format, isa, threads));
    if (!stored) return {};
    try {
        return times_of(*stored);
    } catch (const core::Error&) {  // written by another version: measured anew when someone asks for it
        return {};
    }
}

KernelTimes measure_kernels(core::Pool& pool, cpu::Isa isa, Store& store, const formats::Format& format, const KernelTiming& timing) {
    if (!formats::has_panels(format)) core::fail(core::ErrorKind::usage, "{} has no panels, so there is no choice of kernels to measure", format.name);
    const std::int64_t width = timing.width;
    const core::Tensor in_rows = random_weight(format, {width, width});
    const std::uint64_t bytes = timing.bytes ? timing.bytes : 4 * last_level_cache_bytes();
    const auto copies = static_cast<std::size_t>(bytes / static_cast<std::uint64_t>(formats::tensor_bytes(format, in_rows.shape)) + 1);
    std::vector<core::Tensor> weights;
    while (weights.size() < copies) weights.push_back(formats::make_panels(in_rows, &pool));
    KernelTimes times;
    for (const std::int64_t rows : timing.rows) {
        if (timing.done) timing.done(static_cast<double>(times.rows.size()) / static_cast<double>(timing.rows.size()));
        const core::Tensor x = formats::make_tensor(formats::get("f32"), {rows, width});
        for (std::int64_t i = 0; i < rows * width; ++i) x.row_f32(0)[i] = static_cast<float>(i % 13 - 6) * 0.1f;
        // Many rows are bound by their products, wherever the weights lie.
        const std::span<const core::Tensor> used(weights.data(), rows > few_rows ? 1 : weights.size());
        const std::vector<ops::TensorType> types{ops::f32(x.shape), {&format, in_rows.shape, core::Layout::panels}};
        std::vector<Candidate> list = candidates(products(used, rows), pool, isa, {ops::Attributes{}, types, ops::f32({rows, width})}, x);
        const std::vector<std::int32_t> zeros(static_cast<std::size_t>(rows));
        for (int pass = -1; pass < timing.passes; ++pass)  // the first one sets the number of repeats
            for (Candidate& c : list) {
                const double seconds = time_pass(c, {zeros, zeros});
                if (pass < 0) c.repeats = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(least_pass_seconds / seconds)));
                else c.seconds.push_back(seconds);
            }
        times.rows.push_back(rows);
        for (const Candidate& c : list) {
            auto kernel = std::find_if(times.kernels.begin(), times.kernels.end(), [&](const KernelTimes::Kernel& k) { return k.name == c.name; });
            if (kernel == times.kernels.end()) kernel = times.kernels.insert(kernel, {c.name, std::vector<double>(times.rows.size() - 1)});
            kernel->nanoseconds.push_back(core::median(c.seconds) * 1e9 / static_cast<double>(used.size()));
        }
        for (KernelTimes::Kernel& kernel : times.kernels) kernel.nanoseconds.resize(times.rows.size());
    }
    store.put_json(kind, key_of(format, isa, pool.threads()), json(times));
    return times;
}

namespace {

// What was looked up, so that a plan of many nodes asks the store once per format.
class Measured {
  public:
    Measured(std::shared_ptr<const Store> store, cpu::Isa isa) : store_(std::move(store)), isa_(isa) {}

    const ops::Kernel* fastest(const ops::NodeView& node, std::span<const ops::Kernel* const> kernels, int threads) {
        const std::lock_guard lock(mutex_);
        const formats::Format& format = *node.inputs[1].format;
        auto [entry, is_new] = found_.try_emplace({&format, threads});
        if (is_new) entry->second = find_kernel_times(*store_, format, isa_, threads);
        return entry->second ? entry->second->fastest(kernels, node) : nullptr;
    }

  private:
    std::shared_ptr<const Store> store_;
    cpu::Isa isa_;
    std::mutex mutex_;
    std::map<std::pair<const formats::Format*, int>, std::optional<KernelTimes>> found_;
};

}  // namespace

graph::Preference measured_preference(std::shared_ptr<const Store> store, cpu::Isa isa) {
    return [measured = std::make_shared<Measured>(std::move(store), isa)](const ops::Op& op, const ops::NodeView& node, std::span<const ops::Kernel* const> kernels, int threads) -> const ops::Kernel* {
        return op.name == "matmul" && node.inputs[1].layout == core::Layout::panels ? measured->fastest(node, kernels, threads) : nullptr;
    };
}

}  // namespace tailor::measure
