// Where the time of a training step goes: each operator of the way forth and back, with its share of what multiplies in it.
//
//     bench_training [model.gguf or shape] [--batch 16] [--context 256] [--steps 3] [--threads 2] [--isa avx512] [--precision bf16] [--nodes 0]
//
// The model is a file with weights of single values (f32) or a synthetic shape (llama-160m and the like). The step is that of train::Trainer
// without its optimizer: all gradients, no weight moved. The peaks are measured beside it. With --nodes N the N slowest nodes follow.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>

#include "core/error.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "graph/gradient.h"
#include "graph/passes.h"
#include "graph/plan.h"
#include "measure/machine.h"
#include "models/registry.h"
#include "ops/pair_product.h"
#include "ops/support.h"

namespace {

using namespace tailor;
using Options = std::map<std::string, std::string>;

struct Model {
    std::unique_ptr<files::File> file;
    std::unique_ptr<models::Weights> weights;
    core::Tensor seed;
};

Model open_model(const std::string& name) {
    Model model;
    model.file = name.find(".") != std::string::npos ? files::open(name) : files::make_synthetic(name, formats::get("f32"));
    model.weights = std::make_unique<models::Weights>(*model.file);
    return model;
}

graph::Graph training_graph(Model& model, std::int64_t rows, std::int64_t context) {
    graph::Graph step = graph::optimize(models::build(models::family_of(*model.file), *model.weights, rows, rows, context));
    const graph::Value logits = step.take_outputs()[0], targets = step.input("targets", ops::i32({rows}));
    const graph::Value losses = step.add("cross_entropy", {logits, targets}, {}, "loss");
    const std::vector<graph::Value> trained = graph::trainable(step, losses);
    model.seed = formats::make_tensor(formats::get("f32"), {rows, 1});
    std::fill_n(model.seed.row_f32(0), rows, 1 / static_cast<float>(rows));
    step.output(losses);
    for (const graph::Value gradient : graph::add_gradients(step, losses, trained, step.constant("loss.seed", model.seed))) step.output(gradient);
    return step;
}

double peak_of(const measure::MachineLimits& limits, ops::Unit unit) {
    switch (unit) {
        case ops::Unit::vector_bf16: return limits.vector_bf16_flops_per_second;
        case ops::Unit::tile_bf16: return limits.tile_bf16_flops_per_second;
        case ops::Unit::vector_int16: return limits.vector_int16_ops_per_second;
        case ops::Unit::vector_int8: return limits.vector_int8_ops_per_second;
        default: return limits.vector_flops_per_second;
    }
}

struct Line {
    double nanoseconds = 0, flops = 0, peak = 0;
    int nodes = 0;
};

/// Attention does not know how many sequences its rows are, and states its work as if they were one.
double flops_of(const graph::Plan::NodeTime& node, double sequences) { return node.cost.flops / (node.op.starts_with("attention") ? sequences : 1); }

void print_table(const graph::Plan& plan, const measure::MachineLimits& limits, int steps, double sequences) {
    std::map<std::string, Line> lines;
    double total = 0, flops = 0;
    for (const graph::Plan::NodeTime& node : plan.node_times()) {
        flops += flops_of(node, sequences);
        Line& line = lines[core::format("{:<28} {}", node.op, node.kernel)];
        line.nanoseconds += node.nanoseconds / steps, line.flops += flops_of(node, sequences), line.peak = peak_of(limits, node.unit), ++line.nodes;
        total += node.nanoseconds / steps;
    }
    std::vector<std::pair<std::string, Line>> sorted(lines.begin(), lines.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.nanoseconds > b.second.nanoseconds; });
    std::printf("%-46s %6s %9s %7s %9s %8s\n", "operator and kernel", "nodes", "ms", "share", "GFLOP/s", "of peak");
    for (const auto& [name, line] : sorted)
        std::printf("%-46s %6d %9.2f %6.1f%% %9.1f %7.0f%%\n", name.c_str(), line.nodes, line.nanoseconds / 1e6, 100 * line.nanoseconds / total, line.flops / line.nanoseconds,
                    100e9 * line.flops / line.nanoseconds / line.peak);
    std::printf("%-46s %6s %9.2f %7s %9.1f\n", "all nodes", "", total / 1e6, "", flops / total);
}

void print_nodes(const graph::Plan& plan, int most, int steps, double sequences) {
    std::vector<graph::Plan::NodeTime> times = plan.node_times();
    std::sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.nanoseconds > b.nanoseconds; });
    for (int i = 0; i < most && i < static_cast<int>(times.size()); ++i) {
        const auto& node = times[static_cast<std::size_t>(i)];
        std::printf("%-28s %-20s %9.2f ms %9.1f GFLOP/s  %s\n", node.op.c_str(), node.kernel.c_str(), node.nanoseconds / steps / 1e6, flops_of(node, sequences) * steps / node.nanoseconds, node.name.c_str());
    }
}

void run(const std::string& name, Options& options) {
    core::Pool pool(std::stoi(options["--threads"]));
    const cpu::Isa isa = cpu::parse_isa(options["--isa"]);
    const std::int64_t batch = std::stoll(options["--batch"]), context = std::stoll(options["--context"]), rows = batch * context;
    const int steps = std::stoi(options["--steps"]);
    const bool bf16 = options["--precision"] == "bf16";
    Model model = open_model(name);
    const graph::Graph graph = training_graph(model, rows, context);
    graph::Plan plan(graph, pool, {.isa = isa, .state = {context}, .most_error = bf16 ? ops::training_error : 1e-4, .bf16 = bf16});
    const core::Tensor arena = formats::make_tensor(formats::get("i32"), {plan.arena_bytes() / 4 + 1});
    std::vector<core::Tensor> states;
    for (const graph::Plan::StateSlot& slot : plan.state_slots()) states.push_back(slot.make(batch));
    plan.bind(arena.data, states);
    std::vector<std::int32_t> ids, targets, positions, sequences, wanted;
    for (std::int32_t r = 0; r < rows; ++r) {
        ids.push_back(r * 7919 % 1000), targets.push_back((r + 1) * 7919 % 1000), wanted.push_back(r);
        positions.push_back(r % static_cast<std::int32_t>(context)), sequences.push_back(r / static_cast<std::int32_t>(context));
    }
    plan.set_input("token_ids", ids.data()), plan.set_input("positions", positions.data()), plan.set_input("targets", targets.data());
    plan.set_input("wanted_rows", wanted.data());
    plan.run({sequences, positions});
    plan.clear_times();
    const measure::MachineLimits limits = measure::measure_machine(pool, isa, {}, {.seconds_per_test = 0.1, .buffer_bytes = 64 << 20});
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) plan.run_timed({sequences, positions});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / steps;
    print_table(plan, limits, steps, static_cast<double>(batch));
    print_nodes(plan, std::stoi(options["--nodes"]), steps, static_cast<double>(batch));
    std::printf("%s, %s, %d threads: %.0f tokens/s without the optimizer, peaks %.0f GFLOP/s in f32 and %.0f in bf16, %.1f MiB of memory\n", cpu::name(isa), options["--precision"].c_str(), pool.threads(),
                static_cast<double>(rows) / seconds, limits.vector_flops_per_second / 1e9, limits.vector_bf16_flops_per_second / 1e9,
                static_cast<double>(plan.arena_bytes()) / 0x1p20);
}

}  // namespace

int main(int count, char** arguments) {
    Options options{{"--batch", "16"}, {"--context", "256"}, {"--steps", "3"}, {"--threads", "0"}, {"--isa", cpu::name(cpu::active_isa())}, {"--precision", "bf16"}, {"--nodes", "0"}};
    std::string name = "llama-160m";
    for (int i = 1; i < count; ++i) {
        if (options.contains(arguments[i]) && i + 1 < count) options[arguments[i]] = arguments[i + 1], ++i;
        else if (arguments[i][0] != '-') name = arguments[i];
        else return std::fprintf(stderr, "unknown option %s\n", arguments[i]), 2;
    }
    try {
        run(name, options);
    } catch (const core::Error& error) {
        return std::fprintf(stderr, "%s\n", error.what()), 1;
    }
}
