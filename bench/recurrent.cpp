// What recurrent operators cost: a prompt in one call against the same tokens one by one, and a step early and late in a text.
//
// Usage: bench_recurrent [tokens] [threads] [operator]. Every operator is as wide as 1,024 columns; times are microseconds per token, the
// least of several rounds. One by one, each token is a plan of one row, as a session runs it. "in cache": the same memory at every
// call, which then stays in the cache of its core. "in a model": every call belongs to another layer, as in a decode step, so
// that memory and weights come from the machine's memory; that is what a session sees, and what a prompt saves.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "formats/registry.h"
#include "graph/plan.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace bench {

using namespace tailor;
using Clock = std::chrono::steady_clock;
using ops::f32;

struct Subject {
    std::string op;
    ops::Attributes attributes;
    std::vector<ops::TensorType> (*inputs)(std::int64_t rows);
};

constexpr std::int64_t width = 1024;

static const Subject subjects[] = {
    {"short_conv", {}, [](std::int64_t n) { return std::vector<ops::TensorType>{f32({n, width}), f32({width, 4}), f32({width})}; }},
    {"token_shift", {}, [](std::int64_t n) { return std::vector<ops::TensorType>{f32({n, width})}; }},
    {"selective_scan", {}, [](std::int64_t n) {
         return std::vector<ops::TensorType>{f32({n, width}), f32({n, width}), f32({width, 16}), f32({n, 16}), f32({n, 16}), f32({width})};
     }},
    {"ssd", {{"heads", std::int64_t{16}}, {"groups", std::int64_t{1}}}, [](std::int64_t n) {
         return std::vector<ops::TensorType>{f32({n, width}), f32({n, 16}), f32({16}), f32({n, 128}), f32({n, 128}), f32({16})};
     }},
    {"rwkv6", {{"heads", std::int64_t{16}}}, [](std::int64_t n) {
         return std::vector<ops::TensorType>{f32({n, width}), f32({n, width}), f32({n, width}), f32({n, width}), f32({width})};
     }},
    {"rwkv7", {{"heads", std::int64_t{16}}}, [](std::int64_t n) { return std::vector<ops::TensorType>(6, f32({n, width})); }},
    {"linear_attention", {{"heads", std::int64_t{16}}}, [](std::int64_t n) {
         return std::vector<ops::TensorType>{f32({n, width}), f32({n, width}), f32({n, width}), f32({n, 16})};
     }},
    {"gated_delta", {{"heads", std::int64_t{8}}}, [](std::int64_t n) {
         return std::vector<ops::TensorType>{f32({n, width}), f32({n, width}), f32({n, width}), f32({n, 8}), f32({n, 8})};
     }},
};

/// A plan of one operator with inputs and states of its own.
struct Layer {
    std::unique_ptr<graph::Plan> plan;
    std::vector<core::Tensor> inputs, states;
    core::Tensor arena;
    std::vector<std::int32_t> sequences, positions;

    Layer(const Subject& subject, std::int64_t rows, core::Pool& pool, std::mt19937& random) {
        graph::Graph g;
        std::vector<graph::Value> values;
        for (const ops::TensorType& type : subject.inputs(rows)) values.push_back(g.input("input" + std::to_string(values.size()), type));
        g.output(g.add(subject.op, values, subject.attributes, subject.op));
        plan = std::make_unique<graph::Plan>(g, pool, graph::PlanOptions{.isa = cpu::active_isa()});
        std::normal_distribution<float> normal;
        for (const ops::TensorType& type : subject.inputs(rows)) {
            inputs.push_back(formats::make_tensor(*type.format, type.shape));
            for (std::int64_t i = 0; i < type.shape.elements(); ++i) inputs.back().row_f32(0)[i] = normal(random);
        }
        // Decays and steps in their domain, as the operator's own cases have them.
        if (const ops::Case c = ops::get(subject.op).cases().front(); c.confine) c.confine(inputs);
        for (std::size_t i = 0; i < inputs.size(); ++i) plan->set_input("input" + std::to_string(i), inputs[i].data);
        for (const graph::Plan::StateSlot& slot : plan->state_slots()) {
            core::Shape shape{1};
            for (int i = 0; i < slot.type.shape.rank(); ++i) shape.append(slot.type.shape[i]);
            states.push_back(formats::make_tensor(*slot.type.format, shape));
        }
        arena = formats::make_tensor(formats::get("i32"), {plan->arena_bytes() / 4 + 16});
        plan->bind(arena.data, states);
        sequences.assign(static_cast<std::size_t>(rows), 0);
        set_position(0);
    }
    void set_position(std::int32_t first) {
        positions.clear();
        for (std::size_t i = 0; i < sequences.size(); ++i) positions.push_back(first + static_cast<std::int32_t>(i));
    }
    void run() const { plan->run({sequences, positions}); }
};

/// Least microseconds of `rounds` calls of body.
template <class Body>
static double least(int rounds, const Body& body) {
    double best = 1e30;
    for (int i = 0; i < rounds; ++i) {
        const auto start = Clock::now();
        body();
        best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
    return best;
}

static void measure(const Subject& subject, std::int64_t tokens, core::Pool& pool) {
    std::mt19937 random(1);
    const Layer prompt(subject, tokens, pool, random);
    const double together = least(5, [&] { prompt.run(); }) / static_cast<double>(tokens);
    std::vector<Layer> layers;
    layers.emplace_back(subject, 1, pool, random);
    const double cached = least(5, [&] {
                              for (int i = 0; i < 1000; ++i) layers[0].run();
                          }) / 1000;
    double step[2];
    for (int i = 0; i < 2; ++i) {
        layers[0].set_position(i ? 100'000 : 10);
        step[i] = least(5, [&] {
                      for (int n = 0; n < 1000; ++n) layers[0].run();
                  }) / 1000;
    }
    // Memory of all layers together beyond any cache: 96 MB.
    std::int64_t bytes = 0;
    for (const core::Tensor& state : layers[0].states) bytes += formats::tensor_bytes(*state.format, state.shape);
    const auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(96'000'000 / bytes, 1, 2000));
    while (layers.size() < count) layers.emplace_back(subject, 1, pool, random);
    const double in_model = least(3, [&] {
                                for (const Layer& layer : layers) layer.run();
                            }) / static_cast<double>(count);
    std::printf("%-17s %8.2f %10.2f %8.1f %12.2f %8.1f %14.2f %10.2f\n", subject.op.c_str(), together, cached, cached / together, in_model, in_model / together, step[0], step[1]);
}

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    const std::int64_t tokens = argc > 1 ? std::max(1, std::atoi(argv[1])) : 512;
    core::Pool pool(argc > 2 ? std::atoi(argv[2]) : 0);
    std::printf("%s, %d threads, microseconds per token\n", cpu::name(cpu::active_isa()), pool.threads());
    std::printf("%-17s %8s %10s %8s %12s %8s %14s %10s\n", "operator", "prompt", "in cache", "ratio", "in a model", "ratio", "at 10", "at 100,000");
    for (const Subject& subject : subjects) if (argc < 4 || subject.op == argv[3]) measure(subject, tokens, pool);
}
