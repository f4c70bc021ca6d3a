// What recurrent operators cost: a prompt of 4,096 tokens against the same tokens one by one, and a step early and late in a text.
//
// Usage: bench_recurrent [tokens] [threads] [operator] [weight format]. Every operator is as wide as 1,024 columns; times are
// microseconds per token, the least of several rounds. A prompt goes in calls of 512 rows, as a session cuts it; one by one, each token
// is a plan of one row. First the operator alone: "in cache" with the same memory at every call, which then stays in the cache of its
// core; "in a model" with every call for another layer, as in a decode step, so that memory comes from the machine's memory. Then the
// operator as a node of a layer, with the products that make its operands and take its result, their weights in panels: what a session
// sees. There each step belongs to another layer too.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "formats/panels.h"
#include "formats/registry.h"
#include "graph/plan.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace bench {

using namespace tailor;
using Clock = std::chrono::steady_clock;
using ops::f32;

constexpr std::int64_t width = 1024, rows_together = 512;
// What kernels may add to the largest result: usually, and with --fast, as a session has it.
constexpr double usual_error = 6e-3, fast_error = 2e-2;

/// How an input of an operator comes about: a product of the layer's input (of this standard deviation), maybe through a function
/// that brings it into its domain, or a constant.
enum class From { product, positive, negative, share, constant, negative_constant };
struct Input {
    std::int64_t columns;
    From from = From::product;
    float size = 1;
    std::int64_t constant_rows = 0;  ///< 0: a vector
};

struct Subject {
    std::string op;
    ops::Attributes attributes;
    std::vector<Input> inputs;
};

// Keys of norm one, and for rwkv7 a and b small enough that the memory stays bounded.
static const Subject subjects[] = {
    {"short_conv", {}, {{width}, {4, From::constant, 0.5f, width}, {width, From::constant}}},
    {"token_shift", {}, {{width}}},
    {"selective_scan", {}, {{width}, {width, From::positive}, {16, From::negative_constant, 1, width}, {16}, {16}, {width, From::constant}}},
    {"ssd", {{"heads", std::int64_t{16}}, {"groups", std::int64_t{1}}}, {{width}, {16, From::positive}, {16, From::negative_constant}, {128}, {128}, {16, From::constant}}},
    {"rwkv6", {{"heads", std::int64_t{16}}}, {{width}, {width}, {width}, {width, From::negative}, {width, From::constant}}},
    {"rwkv7", {{"heads", std::int64_t{16}}}, {{width}, {width, From::negative, 0.2f}, {width}, {width}, {width, From::product, 0.06f}, {width, From::product, 0.06f}}},
    {"linear_attention", {{"heads", std::int64_t{16}}}, {{width}, {width}, {width}, {16, From::negative}}},
    {"gated_delta", {{"heads", std::int64_t{8}}}, {{width}, {width, From::product, 0.088f}, {width}, {8, From::negative}, {8, From::share}}},
};

static core::Tensor random_tensor(core::Shape shape, float size, std::mt19937& random) {
    core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
    std::normal_distribution<float> normal(0, size);
    for (std::int64_t i = 0; i < shape.elements(); ++i) tensor.row_f32(0)[i] = normal(random);
    return tensor;
}

/// A plan with inputs and states of its own.
struct Layer {
    std::unique_ptr<graph::Plan> plan;
    std::vector<core::Tensor> inputs, states;
    core::Tensor arena;
    std::vector<std::int32_t> sequences, positions;

    Layer(const graph::Graph& g, std::int64_t rows, core::Pool& pool, std::mt19937& random, double most_error = usual_error) {
        plan = std::make_unique<graph::Plan>(g, pool, graph::PlanOptions{.isa = cpu::active_isa(), .most_error = most_error});
        for (const graph::Node& node : g.nodes())
            if (node.is_input()) {
                inputs.push_back(random_tensor(node.type.shape, 1, random));
                plan->set_input(node.name, inputs.back().data);
            }
        for (const graph::Plan::StateSlot& slot : plan->state_slots()) states.push_back(slot.make(1));
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
    std::int64_t state_bytes() const {
        std::int64_t bytes = 0;
        for (const core::Tensor& state : states) bytes += formats::tensor_bytes(*state.format, state.shape);
        return bytes;
    }
};

static core::Tensor constant_of(const Input& input, std::mt19937& random) {
    core::Tensor tensor = random_tensor(input.constant_rows ? core::Shape{input.constant_rows, input.columns} : core::Shape{input.columns}, input.size, random);
    if (input.from == From::negative_constant)
        for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) tensor.row_f32(0)[i] = -std::fabs(tensor.row_f32(0)[i]);
    return tensor;
}

/// Brings a product into the domain of its input.
static graph::Value confined(graph::Graph& g, const Input& input, graph::Value value) {
    if (input.from == From::share) return g.add("sigmoid", {value});
    if (input.from != From::positive && input.from != From::negative) return value;
    const graph::Value positive = g.add("softplus", {value});
    return input.from == From::positive ? positive : g.add("scale", {positive}, {{"factor", -1.0}});
}

/// The operator with every operand an input; normal numbers brought into their domain cost nothing that is timed here.
static graph::Graph alone(const Subject& subject, std::int64_t rows, std::mt19937& random) {
    graph::Graph g;
    std::vector<graph::Value> operands;
    for (const Input& input : subject.inputs) {
        const std::string name = "input" + std::to_string(operands.size());
        const bool constant = input.from == From::constant || input.from == From::negative_constant;
        operands.push_back(constant ? g.constant(name, constant_of(input, random)) : g.input(name, f32({rows, input.columns})));
    }
    g.output(g.add(subject.op, operands, subject.attributes, subject.op));
    return g;
}

/// Operands of the operator alone within their domain.
static void confine(const Subject& subject, Layer& layer) {
    std::size_t i = 0;
    for (const Input& input : subject.inputs) {
        if (input.from == From::constant || input.from == From::negative_constant) continue;
        const core::Tensor& tensor = layer.inputs[i++];
        for (std::int64_t j = 0; j < tensor.shape.elements(); ++j) {
            float& x = tensor.row_f32(0)[j];
            x *= input.size;
            if (input.from == From::negative) x = -std::log1p(std::exp(x));
            if (input.from == From::positive) x = std::log1p(std::exp(x));
            if (input.from == From::share) x = 1 / (1 + std::exp(-x));
        }
    }
}

/// Weights of one layer: a matrix for every product, in panels.
struct Weights {
    std::vector<core::Tensor> matrices;

    Weights(const Subject& subject, const formats::Format& format, std::mt19937& random) {
        for (const Input& input : subject.inputs) {
            const bool constant = input.from == From::constant || input.from == From::negative_constant;
            matrices.push_back(constant ? constant_of(input, random) : matrix(input.columns, input.size, format, random));
        }
        matrices.push_back(matrix(width, 1, format, random));
    }
    static core::Tensor matrix(std::int64_t outputs, float size, const formats::Format& format, std::mt19937& random) {
        const core::Tensor plain = random_tensor({outputs, width}, size / 32, random), encoded = formats::make_tensor(format, {outputs, width});
        for (std::int64_t r = 0; r < outputs; ++r) format.encode(plain.row_f32(r), nullptr, encoded.row(r), width);
        return formats::make_panels(encoded);
    }
    std::int64_t bytes() const {
        std::int64_t sum = 0;
        for (const core::Tensor& m : matrices) sum += formats::tensor_bytes(*m.format, m.shape);
        return sum;
    }
};

/// x + out(operator(operands of x)), x [rows, width].
static graph::Graph as_node(const Subject& subject, const Weights& weights, std::int64_t rows) {
    graph::Graph g;
    const graph::Value x = g.input("x", f32({rows, width}));
    std::vector<graph::Value> operands;
    for (std::size_t i = 0; i < subject.inputs.size(); ++i) {
        const Input& input = subject.inputs[i];
        const graph::Value weight = g.constant("weight" + std::to_string(i), weights.matrices[i]);
        const bool constant = input.from == From::constant || input.from == From::negative_constant;
        operands.push_back(constant ? weight : confined(g, input, g.add("matmul", {x, weight})));
    }
    const graph::Value y = g.add(subject.op, operands, subject.attributes, subject.op);
    g.output(g.add("add", {x, g.add("matmul", {y, g.constant("out", weights.matrices.back())})}));
    return g;
}

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

/// A prompt, in whole calls of at most 512 rows; microseconds per token.
static double time_prompt(Layer& layer, std::int64_t tokens) {
    const auto rows = static_cast<std::int64_t>(layer.sequences.size());
    return least(10, [&] {
               for (std::int64_t t = 0; t < tokens; t += rows) layer.set_position(static_cast<std::int32_t>(t)), layer.run();
           }) /
           static_cast<double>((tokens + rows - 1) / rows * rows);
}

/// Steps of as many layers as fill 96 MB, which no cache here holds; microseconds per step.
template <class Make>
static double time_in_model(std::int64_t bytes, const Make& make) {
    const auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(96'000'000 / bytes, 1, 2000));
    std::vector<Layer> layers;
    while (layers.size() < count) layers.push_back(make());
    return least(5, [&] {
               for (const Layer& layer : layers) layer.run();
           }) /
           static_cast<double>(count);
}

static void measure_alone(const Subject& subject, std::int64_t tokens, core::Pool& pool) {
    std::mt19937 random(1);
    const auto make = [&](std::int64_t rows, double most_error = usual_error) {
        Layer layer(alone(subject, rows, random), rows, pool, random, most_error);
        confine(subject, layer);
        return layer;
    };
    Layer prompt = make(std::min(rows_together, tokens)), fast_prompt = make(std::min(rows_together, tokens), fast_error), one = make(1);
    const double together = time_prompt(prompt, tokens), fast = time_prompt(fast_prompt, tokens);
    double step[2];
    for (int i = 0; i < 2; ++i) {
        one.set_position(i ? 100'000 : 10);
        step[i] = least(10, [&] {
                      for (int n = 0; n < 1000; ++n) one.run();
                  }) / 1000;
    }
    const double cached = std::min(step[0], step[1]), in_model = time_in_model(one.state_bytes(), [&] { return make(1); });
    std::printf("%-17s %8.2f %8.2f %10.2f %8.1f %12.2f %8.1f %8.1f %14.2f %10.2f\n", subject.op.c_str(), together, fast, cached, cached / together, in_model, in_model / together,
                in_model / fast, step[0], step[1]);
}

static void measure_as_node(const Subject& subject, std::int64_t tokens, const formats::Format& format, core::Pool& pool) {
    std::mt19937 random(1);
    const std::int64_t rows = std::min(rows_together, tokens);
    Layer prompt(as_node(subject, Weights(subject, format, random), rows), rows, pool, random);
    const double together = time_prompt(prompt, tokens);
    const std::int64_t bytes = Weights(subject, format, random).bytes() + prompt.state_bytes();
    const double in_model = time_in_model(bytes, [&] { return Layer(as_node(subject, Weights(subject, format, random), 1), 1, pool, random); });
    std::printf("%-17s %8.2f %12.2f %8.1f\n", subject.op.c_str(), together, in_model, in_model / together);
}

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    const std::int64_t tokens = argc > 1 ? std::max(1, std::atoi(argv[1])) : 4096;
    core::Pool pool(argc > 2 ? std::atoi(argv[2]) : 0);
    const formats::Format& format = formats::get(argc > 4 ? argv[4] : "q8_0");
    const auto chosen = [&](const Subject& subject) { return argc < 4 || subject.op == argv[3] || std::string(argv[3]) == "all"; };
    std::printf("%s, %d threads, microseconds per token\n", cpu::name(cpu::active_isa()), pool.threads());
    std::printf("%-17s %8s %8s %10s %8s %12s %8s %8s %14s %10s\n", "operator alone", "prompt", "--fast", "in cache", "ratio", "in a model", "ratio", "--fast", "at 10",
                "at 100,000");
    for (const Subject& subject : subjects)
        if (chosen(subject)) measure_alone(subject, tokens, pool);
    std::printf("\n%-17s %8s %12s %8s  (weights %s)\n", "with its products", "prompt", "one by one", "ratio", std::string(format.name).c_str());
    for (const Subject& subject : subjects)
        if (chosen(subject)) measure_as_node(subject, tokens, format, pool);
}
