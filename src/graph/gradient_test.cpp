// Gradients of every registered operator against differences of its own definition, on every shape of its suite: the loss is the
// sum of the results times random weights, its gradient comes from the pass add_gradients and runs at every instruction-set level, and
// the differences are central, of the reference in double. And what the pass itself must do: sums, zeros, refusals.
#include "graph/gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "graph/plan.h"
#include "ops/registry.h"
#include "ops/support.h"
#include "ops/test_inputs.h"

namespace tailor::graph {
namespace {

using core::Tensor;
using ops::TensorType;

/// A case made concrete: inputs, weights of the results, and where the rows stand.
struct Trial {
    const ops::Op& op;
    const ops::Case& c;
    std::vector<Tensor> inputs;
    Tensor weights;
    TensorType output;
    std::vector<std::int32_t> sequences, positions;

    Trial(const ops::Op& tested, const ops::Case& given, std::mt19937& random) : op(tested), c(given), output(tested.shape({given.attributes, given.inputs, {}})) {
        for (const TensorType& t : c.inputs) inputs.push_back(t ? ops::random_tensor(t, c.index_limit, random) : Tensor{});
        ops::keep_vectors_positive(c, inputs);
        if (c.confine) c.confine(inputs);
        weights = ops::random_tensor(ops::f32(output.shape), 1, random);
        // Two sequences, the second of the first rows, so that an operator that mixes rows must keep them apart.
        const auto rows = static_cast<std::int32_t>(c.inputs[0].shape.rows()), first = rows / 3;
        for (std::int32_t r = 0; r < rows; ++r) sequences.push_back(r < first), positions.push_back(r < first ? r : r - first);
    }

    std::vector<Tensor> states() const {
        std::vector<Tensor> made;
        if (!op.states) return made;
        for (const ops::StateType& s : op.states({c.attributes, c.inputs, output}, {state_context()})) {
            core::Shape shape{2};
            for (int i = 0; i < s.shape.rank(); ++i) shape.append(s.shape[i]);
            made.push_back(formats::make_tensor(s.format ? *s.format : formats::get("f32"), shape));
        }
        return made;
    }
    std::int64_t state_context() const { return c.inputs[0].shape.rows() + 1; }

    /// The loss by the definition.
    double loss() const {
        static core::Pool pool(1);
        std::vector<Tensor> memory = states();
        const Tensor result = formats::make_tensor(*output.format, output.shape);
        const std::int64_t scratch_bytes = op.scratch_bytes ? op.scratch_bytes({c.attributes, c.inputs, output}) : 0;
        const Tensor scratch = formats::make_tensor(formats::get("i32"), {scratch_bytes / 4 + 1});
        op.reference({c.attributes, inputs, result, memory, {sequences, positions}, &pool, cpu::Isa::base, scratch.data});
        double total = 0;
        for (std::int64_t i = 0; i < output.shape.elements(); ++i) total += static_cast<double>(result.row_f32(0)[i]) * static_cast<double>(weights.row_f32(0)[i]);
        return total;
    }

    bool trained(std::size_t i) const {
        return inputs[i] && c.inputs[i].format->name == "f32" && c.inputs[i].layout == core::Layout::rows && !(op.tables >> i & 1U);
    }
};

using Gradients = std::vector<std::vector<double>>;  // per input; empty for those without

/// The gradients by the pass, at one level.
Gradients by_pass(const Trial& t, cpu::Isa isa) {
    Graph graph;
    std::vector<Value> inputs, with;
    for (std::size_t i = 0; i < t.inputs.size(); ++i) {
        inputs.push_back(t.inputs[i] ? graph.constant({}, t.inputs[i]) : absent);
        if (t.trained(i)) with.push_back(inputs.back());
    }
    const Value result = graph.add(t.op.name, inputs, t.c.attributes, "tested"), seed = graph.constant({}, t.weights);
    for (const Value v : add_gradients(graph, result, with, seed)) graph.output(v);
    graph.output(result);  // the states of the node are then there whether or not the rule reads its result
    core::Pool pool(2);
    // Paths in f32: kernels that round activations to 8 bits are not held to a thousandth.
    Plan plan(graph, pool, {.isa = isa, .state = {t.state_context()}, .most_error = 1e-4});
    const Tensor arena = formats::make_tensor(formats::get("i32"), {plan.arena_bytes() / 4 + 1});
    plan.bind(arena.data, t.states());
    plan.run({t.sequences, t.positions});
    Gradients gradients(t.inputs.size());
    for (std::size_t i = 0, n = 0; i < t.inputs.size(); ++i)
        if (t.trained(i)) {
            const Tensor& g = plan.output(n++);
            EXPECT_EQ(g.shape, t.inputs[i].shape) << t.op.name;
            gradients[i].assign(g.row_f32(0), g.row_f32(0) + g.shape.elements());
        }
    return gradients;
}

/// A direction: numbers of inputs to move, and how far for a step of 1.
struct Move {
    std::size_t input;
    std::int64_t number;
    double by;
};

struct Slope {
    double value = 0, uncertainty = 0;
};

/// The derivative of the loss along `moves`: central differences with two steps and the extrapolation of both; where they disagree, as at
/// the corner of a ReLU, the uncertainty says so.
Slope slope_along(Trial& t, const std::vector<Move>& moves, double step, double expected, double allowed) {
    const auto loss_at = [&](double distance, double& moved) {
        std::vector<float> before;
        double squares = 0, along = 0;
        for (const Move& m : moves) {
            float& number = t.inputs[m.input].row_f32(0)[m.number];
            before.push_back(number);
            number = static_cast<float>(static_cast<double>(number) + distance * m.by);
            const double by = static_cast<double>(number) - static_cast<double>(before.back());
            along += by * m.by, squares += m.by * m.by;
        }
        moved = along / squares;  // what rounding to f32 left of the distance
        const double loss = t.loss();
        for (std::size_t i = 0; i < moves.size(); ++i) t.inputs[moves[i].input].row_f32(0)[moves[i].number] = before[i];
        return loss;
    };
    const auto difference = [&](double distance) {
        double above = 0, below = 0;
        const double high = loss_at(distance, above), low = loss_at(-distance, below);
        return (high - low) / (above - below);
    };
    // Where the narrow difference is what was expected nothing is left to ask.
    const double narrow = difference(step / 2);
    if (std::fabs(narrow - expected) <= allowed) return {narrow, 0};
    const double wide = difference(step);
    return {narrow + (narrow - wide) / 3, std::fabs(narrow - wide)};
}

/// What one case is held to.
class Comparison {
  public:
    Comparison(Trial& trial, const Gradients& gradients) : trial_(trial), gradients_(gradients) {}

    /// One number of one input: as far off as a thousandth of the largest gradient of that input.
    void check_number(std::size_t input, std::int64_t number) {
        double largest = 0;
        for (const double g : gradients_[input]) largest = std::max(largest, std::fabs(g));
        const double given = gradients_[input][static_cast<std::size_t>(number)];
        settle({{input, number, 1}}, 1, given, largest, core::format("number {} of input {}", number, input));
    }

    /// All inputs along a random direction.
    void check_direction(std::mt19937& random) {
        std::normal_distribution<double> normal;
        std::vector<Move> moves;
        double given = 0, squares = 0;
        for (std::size_t i = 0; i < gradients_.size(); ++i)
            for (std::size_t n = 0; n < gradients_[i].size(); ++n) {
                moves.push_back({i, static_cast<std::int64_t>(n), normal(random)});
                given += gradients_[i][n] * moves.back().by, squares += gradients_[i][n] * gradients_[i][n];
            }
        // Along a random direction a derivative has the size of the gradient; the step keeps every number's move as small as it was.
        settle(moves, 0.125, given, std::sqrt(squares), "a random direction");
    }

    int checked = 0, unclear = 0;
    std::vector<std::string> complaints;

  private:
    void settle(const std::vector<Move>& moves, double share, double given, double largest, const std::string& what) {
        // Losses are sums of numbers rounded to f32: what is left of gradients far below 1 is that rounding.
        const double allowed = 1e-3 * std::max(largest, 1e-2);
        ++checked;
        Slope slope;
        for (const double step : {0.02, 0.005, 0.06}) {
            slope = slope_along(trial_, moves, step * share, given, allowed);
            if (std::fabs(slope.value - given) <= allowed) return;
        }
        if (slope.uncertainty > allowed) ++unclear;
        else complaints.push_back(core::format("{}: the pass gives {}, differences {} (largest {})", what, given, slope.value, largest));
    }

    Trial& trial_;
    const Gradients& gradients_;
};

std::string describe(const ops::Op& op, const ops::Case& c, cpu::Isa isa) {
    std::string what = core::format("{} at {}:", op.name, cpu::name(isa));
    for (const TensorType& t : c.inputs) what += t ? " " + std::string(t.format->name) + t.shape.text() : " none";
    for (const auto& [name, value] : c.attributes.entries()) what += " " + name;
    return what;
}

// Some hundredths of a second per case: definitions are slow, and large cases get a direction alone.
constexpr double work_per_case = 1e7;

void check_case(const ops::Op& op, const ops::Case& c, std::mt19937& random) {
    Trial trial(op, c, random);
    const double work = op.cost({c.attributes, c.inputs, trial.output}).flops + 20 * static_cast<double>(trial.output.shape.elements()) + 1000;
    const int samples = static_cast<int>(std::clamp(work_per_case / (4 * work), 0.0, 6.0));
    std::vector<std::size_t> trained;
    for (std::size_t i = 0; i < trial.inputs.size(); ++i)
        if (trial.trained(i)) trained.push_back(i);
    if (trained.empty()) return;
    Gradients first;
    for (const cpu::Isa isa : cpu::available_isas()) {
        const Gradients gradients = by_pass(trial, isa);
        if (!first.empty()) {  // the levels agree with each other; differences are taken once
            for (const std::size_t i : trained) {
                double largest = 1e-2, worst = 0;
                for (const double g : first[i]) largest = std::max(largest, std::fabs(g));
                for (std::size_t n = 0; n < first[i].size(); ++n) worst = std::max(worst, std::fabs(first[i][n] - gradients[i][n]));
                EXPECT_TRUE(worst <= 5e-4 * largest) << describe(op, c, isa) << " input " << i << ": off the lowest level by " << worst << ", largest " << largest;
            }
            continue;
        }
        first = gradients;
        Comparison comparison(trial, gradients);
        for (const std::size_t i : trained)
            for (int s = 0; s < samples; ++s)
                comparison.check_number(i, std::uniform_int_distribution<std::int64_t>(0, trial.inputs[i].shape.elements() - 1)(random));
        comparison.check_direction(random);
        for (const std::string& complaint : comparison.complaints) ADD_FAILURE() << describe(op, c, isa) << " " << complaint;
        EXPECT_LE(comparison.unclear, 1 + comparison.checked / 5) << describe(op, c, isa) << ": differences settle nothing";
    }
}

class GradientConformance : public testing::TestWithParam<const ops::Op*> {};

TEST_P(GradientConformance, AgreesWithDifferences) {
    const ops::Op& op = *GetParam();
    if (!op.gradient) {
        EXPECT_FALSE(op.not_differentiable.empty()) << op.name << " has neither a gradient nor a reason";
        return;
    }
    EXPECT_TRUE(op.not_differentiable.empty()) << op.name << " has a gradient and a reason to have none";
    if (!op.surrogate.empty()) return;  // differences of a staircase say nothing
    std::mt19937 random(11);
    for (const ops::Case& c : op.cases())
        if (!op.states || c.past == 0 || c.kv_format == "f32") check_case(op, c, random);
}

INSTANTIATE_TEST_SUITE_P(Operators, GradientConformance, testing::ValuesIn(ops::all().begin(), ops::all().end()),
                         [](const auto& info) { return std::string(info.param->name); });

// ---- The pass ----

Tensor filled(core::Shape shape, std::initializer_list<float> numbers) {
    const Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
    std::copy(numbers.begin(), numbers.end(), tensor.row_f32(0));
    return tensor;
}

std::vector<float> run_outputs(const Graph& graph) {
    core::Pool pool(1);
    Plan plan(graph, pool, {});
    const Tensor arena = formats::make_tensor(formats::get("i32"), {plan.arena_bytes() / 4 + 1});
    plan.bind(arena.data, {});
    plan.run({});
    std::vector<float> numbers;
    for (std::size_t i = 0; i < graph.outputs().size(); ++i) numbers.insert(numbers.end(), plan.output(i).row_f32(0), plan.output(i).row_f32(0) + plan.output(i).shape.elements());
    return numbers;
}

TEST(Gradient, UsesOfAValueAddUp) {
    Graph graph;
    const Value x = graph.constant("x", filled({1, 2}, {3, -2})), y = graph.constant("y", filled({1, 2}, {5, 7}));
    // f = x * x + x * y, so df/dx = 2 x + y and df/dy = x
    const Value f = graph.add("add", {graph.add("multiply", {x, x}), graph.add("multiply", {x, y})});
    for (const Value v : add_gradients(graph, f, std::vector<Value>{x, y})) graph.output(v);
    EXPECT_EQ(run_outputs(graph), (std::vector<float>{11, 3, 3, -2}));
}

TEST(Gradient, IsZeroWhereNothingDepends) {
    Graph graph;
    const Value x = graph.constant("x", filled({1, 2}, {3, -2})), other = graph.constant("other", filled({1, 3}, {1, 1, 1}));
    const Value f = graph.add("exp", {x});
    for (const Value v : add_gradients(graph, f, std::vector<Value>{other})) graph.output(v);
    EXPECT_EQ(run_outputs(graph), (std::vector<float>{0, 0, 0}));
}

TEST(Gradient, NothingIsComputedThatNoOneAsksFor) {
    Graph graph;
    const Value x = graph.constant("x", filled({1, 2}, {3, -2})), w = graph.constant("w", filled({2, 2}, {1, 2, 3, 4}));
    const Value f = graph.add("matmul", {x, w});
    const std::size_t before = graph.nodes().size();
    add_gradients(graph, f, std::vector<Value>{w});
    EXPECT_EQ(graph.nodes().size(), before + 2);  // ones and the product for w
}

TEST(Gradient, RefusesWhatHasNone) {
    Graph graph;
    const Value x = graph.constant("x", filled({1, 4}, {1, 2, 3, 4})), codes = graph.constant("codes", formats::make_tensor(formats::get("q8_0"), {1, 32}));
    const Value chosen = graph.add("route", {x}, {{"used", std::int64_t{2}}}, "blk.0.route");
    try {
        add_gradients(graph, chosen, std::vector<Value>{x});
        FAIL() << "a choice has no gradient";
    } catch (const core::Error& error) {
        EXPECT_NE(std::string(error.what()).find("blk.0.route"), std::string::npos) << error.what();
        EXPECT_EQ(error.kind(), core::ErrorKind::unsupported);
    }
    EXPECT_THROW(add_gradients(graph, x, std::vector<Value>{codes}), core::Error);
}

TEST(Gradient, SecondDerivatives) {
    // f = |W x|^2 / 2 has the gradient W^T W x; its product with a direction d, differentiated once more, is W^T W d.
    Graph graph;
    const Value x = graph.constant("x", filled({1, 2}, {3, -2})), w = graph.constant("w", filled({2, 2}, {1, 2, 3, 4})), d = graph.constant("d", filled({1, 2}, {1, -1}));
    const Value y = graph.add("matmul", {x, w});
    const Value half = graph.add("scale", {graph.add("multiply", {y, y})}, {{"factor", 0.5}});
    const Value gradient = add_gradients(graph, half, std::vector<Value>{x})[0];
    graph.output(gradient);
    graph.output(add_gradients(graph, gradient, std::vector<Value>{x}, d)[0]);
    EXPECT_EQ(run_outputs(graph), (std::vector<float>{2, 2, -4, -6}));
}

TEST(Gradient, FindsWhatCanBeTrained) {
    Graph graph;
    const Value x = graph.input("x", ops::f32({1, 2})), w = graph.constant("w", filled({2, 2}, {1, 2, 3, 4}));
    const Value frozen = graph.constant("frozen", formats::make_tensor(formats::get("f16"), {2, 2})), unused = graph.constant("unused", filled({1, 2}, {0, 0}));
    const Value y = graph.add("matmul", {graph.add("matmul", {x, w}), frozen});
    EXPECT_EQ(trainable(graph, y), std::vector<Value>{w});
    EXPECT_EQ(trainable(graph, unused), std::vector<Value>{unused});
}

}  // namespace
}  // namespace tailor::graph
