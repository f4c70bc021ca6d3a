// Every policy on a small network whose gradients are known without it: to the bit where the policy says so, close where it rounds.
#include "graph/saving.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "graph/gradient.h"
#include "graph/loss_chunks.h"
#include "graph/memory.h"
#include "graph/plan.h"
#include "graph/policies/registry.h"
#include "graph/schedule.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::graph {
namespace {

using core::Tensor;

constexpr std::int64_t rows = 256, width = 32, wide = 64, classes = 300;

Tensor random_tensor(core::Shape shape, unsigned seed, float deviation) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    const Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
    for (std::int64_t i = 0; i < shape.elements(); ++i) tensor.row_f32(0)[i] = normal(random);
    return tensor;
}

/// Residual layers of a norm and a gated product, then a loss; outputs are the losses and all gradients.
struct Network {
    Graph graph;
    Value turn = absent;
    std::vector<std::int32_t> targets;
    core::Pool pool{2};

    explicit Network(int layers = 6) {
        Value h = graph.constant("x", random_tensor({rows, width}, 1, 1));
        std::vector<Value> weights;
        const auto weight = [&](core::Shape shape) {
            weights.push_back(graph.constant(core::format("weight.{}", weights.size()), random_tensor(shape, static_cast<unsigned>(weights.size()) + 2, 0.15f)));
            return weights.back();
        };
        for (int l = 0; l < layers; ++l) {
            const Value normed = graph.add("rms_norm", {h, weight({width})}, {{"epsilon", 1e-5}});
            const Value gated = graph.add("swiglu", {graph.add("matmul", {normed, weight({wide, width})}), graph.add("matmul", {normed, weight({wide, width})})});
            h = graph.add("add", {h, graph.add("matmul", {gated, weight({width, wide})})});
        }
        const Value logits = graph.add("matmul", {h, weight({classes, width})}), target = graph.input("targets", ops::i32({rows}));
        const Value losses = graph.add("cross_entropy", {logits, target});
        for (std::int64_t r = 0; r < rows; ++r) targets.push_back(static_cast<std::int32_t>(r * 7 % classes));
        turn = static_cast<Value>(graph.nodes().size());
        graph.output(losses);
        for (const Value v : add_gradients(graph, losses, weights)) graph.output(v);
    }

    std::vector<Tensor> run(const Graph& given) {
        Plan plan(given, pool, {.isa = cpu::available_isas().back()});
        const Tensor arena = formats::make_tensor(formats::get("i32"), {plan.arena_bytes() / 4 + 1});
        std::memset(arena.data, 0xFF, static_cast<std::size_t>(plan.arena_bytes()));  // whoever reads what was not written finds no number
        plan.set_input("targets", targets.data());
        plan.bind(arena.data, {});
        plan.run({});
        std::vector<Tensor> outputs;
        for (std::size_t i = 0; i < given.outputs().size(); ++i) {
            outputs.push_back(formats::make_tensor(formats::get("f32"), plan.output(i).shape));
            std::copy_n(plan.output(i).row_f32(0), plan.output(i).shape.elements(), outputs.back().row_f32(0));
        }
        return outputs;
    }

    std::vector<Tensor> run(const SavingOptions& options) {
        const Saving saving = save_values(graph, turn, options);
        return run(saving.graph);
    }
};

void expect_same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b, const std::string& what) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(0, std::memcmp(a[i].data, b[i].data, static_cast<std::size_t>(4 * a[i].shape.elements()))) << what << ", output " << i;
}

/// The norm of the difference of all outputs but the first, as a share of theirs.
double relative_error(const std::vector<Tensor>& expected, const std::vector<Tensor>& actual) {
    double difference = 0, size = 0;
    for (std::size_t i = 1; i < expected.size(); ++i)
        for (std::int64_t k = 0; k < expected[i].shape.elements(); ++k) {
            const double e = static_cast<double>(expected[i].row_f32(0)[k]), a = static_cast<double>(actual[i].row_f32(0)[k]);
            difference += (a - e) * (a - e), size += e * e;
        }
    return std::sqrt(difference / size);
}

class EveryPolicy : public testing::TestWithParam<const policies::Policy*> {};

TEST_P(EveryPolicy, GivesTheGradientsThatItPromises) {
    Network network;
    const std::vector<Tensor> expected = network.run(network.graph);
    const policies::Policy& policy = *GetParam();
    const std::vector<Tensor> actual = network.run({.policies = std::string(policy.name)});
    EXPECT_FALSE(policy.doc.empty());
    if (policy.exact) return expect_same_bits(expected, actual, std::string(policy.name));
    expect_same_bits({expected[0]}, {actual[0]}, "the way forth");
    const double error = relative_error(expected, actual);
    EXPECT_GT(error, 0) << "what it put by was not read";
    // Rounding to 255 steps of a range of some five deviations, to 15 of them, and three rows in ten.
    EXPECT_LT(error, policy.name == "int8" ? 0.02 : policy.name == "int4" ? 0.4 : 2) << policy.name;
}

TEST_P(EveryPolicy, HoldsNoMoreThanKeeping) {
    Network network;
    const std::int64_t all = peak_bytes(network.graph), with = peak_bytes(save_values(network.graph, network.turn, {.policies = std::string(GetParam()->name)}).graph);
    if (GetParam()->name == "keep") EXPECT_LE(with, all);
    else EXPECT_LT(with, all) << GetParam()->name;
}

INSTANTIATE_TEST_SUITE_P(Policies, EveryPolicy, testing::ValuesIn(policies::all().begin(), policies::all().end()), [](const auto& info) {
    std::string name(info.param->name);
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

TEST(Saving, PoliciesShareValues) {
    Network network;
    const std::vector<Tensor> expected = network.run(network.graph);
    for (const char* list : {"wta-crs,int8", "recompute,int8", "wta-crs,recompute", "wta-crs,recompute,spill", "recompute,spill"}) {
        const std::vector<Tensor> actual = network.run({.policies = list});
        EXPECT_LT(relative_error(expected, actual), 2) << list;
        if (std::string(list) == "recompute,spill") expect_same_bits(expected, actual, list);
    }
    // What recompute leaves at the borders goes on to the next policy.
    const Saving both = save_values(network.graph, network.turn, {.policies = "recompute,int8"});
    EXPECT_NE(both.summary.find(" recompute ("), std::string::npos) << both.summary;
    EXPECT_NE(both.summary.find(" int8 ("), std::string::npos) << both.summary;
    EXPECT_LE(peak_bytes(both.graph), peak_bytes(save_values(network.graph, network.turn, {.policies = "recompute"}).graph));
}

TEST(Saving, RecomputingTakesLessThanHalfInDeepNetworks) {
    Network deep(24);
    EXPECT_LT(peak_bytes(save_values(deep.graph, deep.turn, {.policies = "recompute"}).graph), peak_bytes(deep.graph) / 2);
}

TEST(Saving, ABudgetIsKeptWithTheLeastWork) {
    Network network(12);
    const std::vector<Tensor> expected = network.run(network.graph);
    const auto placed = [](const Graph& graph) { return lay_out(buffers_of(graph).lifetimes).bytes; };
    const std::int64_t all = placed(network.graph);
    double before = estimated_seconds(network.graph);
    for (const std::int64_t percent : {100, 80, 60}) {
        const std::int64_t budget = all * percent / 100;
        const Saving saving = save_values(network.graph, network.turn, {.budget_bytes = budget});
        EXPECT_LE(placed(saving.graph), budget);
        EXPECT_GE(estimated_seconds(saving.graph), before * (1 - 1e-9)) << "less memory for less work: the larger budget was not used";
        before = estimated_seconds(saving.graph);
        expect_same_bits(expected, network.run(saving.graph), saving.summary);
    }
    try {
        save_values(network.graph, network.turn, {.budget_bytes = 1000});
        FAIL() << "a kilobyte cannot do";
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::usage);
        EXPECT_NE(std::string(error.what()).find("come down to"), std::string::npos) << error.what();
    }
}

TEST(Saving, NamesWhatThereIs) {
    Network network(1);
    try {
        save_values(network.graph, network.turn, {.policies = "keep,forget"});
        FAIL();
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::usage);
        EXPECT_NE(std::string(error.what()).find("recompute"), std::string::npos) << error.what();
    }
    EXPECT_THROW(save_values(network.graph, network.turn, {.policies = "spill", .folder = "/no/such/folder"}), core::Error);
}

TEST(SpillFile, HasNoNameAndTakesItsRoomAtOnce) {
    SpillFile file("");
    EXPECT_EQ(file.reserve(10), 0);
    EXPECT_EQ(file.reserve(5000), 4096);
    EXPECT_EQ(file.bytes(), 3 * 4096);
    struct stat status{};
    ASSERT_EQ(0, ::fstat(file.descriptor(), &status));
    EXPECT_EQ(status.st_nlink, 0U) << "a killed process would leave it behind";
    EXPECT_EQ(status.st_size, 3 * 4096);
}

TEST(LossChunks, GiveTheSameLossesAndCloseGradients) {
    Network network;
    const std::vector<Tensor> expected = network.run(network.graph);
    for (const std::int64_t chunk : {32, 100, 255}) {
        Value turn = network.turn;
        const Graph chunked = chunk_loss(network.graph, chunk, &turn);
        ASSERT_GT(chunked.nodes().size(), network.graph.nodes().size());
        const std::vector<Tensor> actual = network.run(chunked);
        EXPECT_LT(relative_error(expected, actual), 1e-5) << chunk;
        for (std::int64_t r = 0; r < rows; ++r) EXPECT_NEAR(expected[0].row_f32(r)[0], actual[0].row_f32(r)[0], 1e-5) << chunk;
        // The policies keep their promise on top of it.
        expect_same_bits(actual, network.run({.policies = "recompute", .loss_rows = chunk}), "recompute in chunks");
    }
    for (const std::int64_t chunk : {std::int64_t{0}, rows}) EXPECT_EQ(chunk_loss(network.graph, chunk).nodes().size(), network.graph.nodes().size());
    EXPECT_LT(peak_bytes(save_values(network.graph, network.turn, {.policies = "recompute", .loss_rows = 32}).graph), peak_bytes(save_values(network.graph, network.turn, {.policies = "recompute"}).graph));
}

TEST(Schedule, ExchangesWhatWantsLess) {
    // Written down, the wide value waits while another is made; the sum over it may as well come first.
    Graph graph;
    const Value x = graph.constant("x", random_tensor({rows, width}, 1, 1)), w = graph.constant("w", random_tensor({wide, width}, 2, 1));
    const Value first = graph.add("matmul", {x, w}), other = graph.add("matmul", {x, w}), sum = graph.add("weight_gradient", {first, x});
    graph.output(graph.add("weight_gradient", {other, x}));
    graph.output(sum);
    const Graph better = in_frugal_order(graph);
    EXPECT_LT(peak_bytes(better), peak_bytes(graph));
    EXPECT_EQ(peak_bytes(in_frugal_order(better)), peak_bytes(better));
    Network network;
    expect_same_bits(network.run(network.graph), network.run(in_frugal_order(network.graph)), "another order");
}

/// One operator on given inputs.
Tensor call(std::string_view op_name, const std::vector<Tensor>& inputs, const ops::Attributes& attributes) {
    core::Pool pool(1);
    const ops::Op& op = ops::get(op_name);
    std::vector<ops::TensorType> types;
    for (const Tensor& input : inputs) types.push_back({input.format, input.shape});
    const ops::TensorType type = op.shape({attributes, types, {}});
    const Tensor output = formats::make_tensor(*type.format, type.shape), scratch = formats::make_tensor(formats::get("i32"), {op.scratch_bytes ? op.scratch_bytes({attributes, types, type}) / 4 + 1 : 1});
    const cpu::Isa isa = cpu::available_isas().back();
    const auto kernel = std::find_if(op.kernels.begin(), op.kernels.end(), [&](const ops::Kernel& k) { return k.run.at(isa) && k.can_run({attributes, types, type}); });
    kernel->run.at(isa)({attributes, inputs, output, {}, {}, &pool, isa, scratch.data});
    return output;
}

TEST(Codes, AreRightOnAverageAndWithinAStep) {
    constexpr std::int64_t numbers = 65536;
    Tensor x = formats::make_tensor(formats::get("f32"), {1, numbers});
    // Every group spans 0 to 1, and the rest of its numbers is the same: what rounding to the nearest would get wrong everywhere.
    for (std::int64_t i = 0; i < numbers; ++i) x.row_f32(0)[i] = i % 128 == 0 ? 0.0f : i % 128 == 1 ? 1.0f : 0.3f;
    for (const std::int64_t bits : {8, 4}) {
        const Tensor codes = call("pack_codes", {x}, {{"bits", bits}});
        const Tensor y = call("unpack_codes", {codes}, {{"bits", bits}, {"rank", std::int64_t{2}}, {"dimension_0", std::int64_t{1}}, {"dimension_1", numbers}});
        const double step = 1.0 / static_cast<double>((1 << bits) - 1);
        double sum = 0, worst = 0;
        for (std::int64_t i = 0; i < numbers; ++i) {
            if (i % 128 > 1) sum += static_cast<double>(y.row_f32(0)[i]) / static_cast<double>(numbers / 128 * 126);
            worst = std::max(worst, std::fabs(static_cast<double>(y.row_f32(0)[i] - x.row_f32(0)[i])));
        }
        EXPECT_LE(worst, step * (1 + 1e-5));
        EXPECT_NEAR(sum, 0.3, 5 * step * 0.5 / std::sqrt(static_cast<double>(numbers)));
    }
    x.row_f32(0)[500] = std::numeric_limits<float>::infinity();
    const Tensor y = call("unpack_codes", {call("pack_codes", {x}, {{"bits", std::int64_t{8}}})},
                          {{"bits", std::int64_t{8}}, {"rank", std::int64_t{2}}, {"dimension_0", std::int64_t{1}}, {"dimension_1", numbers}});
    EXPECT_FALSE(std::isfinite(y.row_f32(0)[500])) << "a number that is not finite was hidden";
    EXPECT_TRUE(std::isfinite(y.row_f32(0)[100])) << "other groups are not touched";
}

TEST(SampledRows, AreRightOnAverage) {
    constexpr std::int64_t all = 60, n = 5, k = 7, trials = 3000;
    const Tensor gradient = random_tensor({all, n}, 3, 1);
    Tensor x = random_tensor({all, k}, 4, 1);
    for (std::int64_t i = 0; i < k; ++i) x.row_f32(7)[i] *= 20;  // a row that is taken for certain
    const Tensor expected = call("weight_gradient", {gradient, x}, {});
    std::vector<double> mean(n * k);
    for (std::int64_t t = 0; t < trials; ++t) {
        // Another last bit of one number: the same sum, other draws.
        x.row_f32(3)[0] = std::nextafter(x.row_f32(3)[0], 10.0f);
        const Tensor draws = call("sample_rows", {x}, {{"count", all * 3 / 10}}), estimate = call("sampled_weight_gradient", {gradient, draws}, {});
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += static_cast<double>(estimate.row_f32(0)[i]) / trials;
    }
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
        const double e = static_cast<double>(expected.row_f32(0)[i]);
        difference += (mean[i] - e) * (mean[i] - e), size += e * e;
    }
    EXPECT_LT(std::sqrt(difference / size), 0.03);
}

}  // namespace
}  // namespace tailor::graph
