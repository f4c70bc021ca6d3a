// Plans on small graphs: passes keep results, kernels are chosen with reasons, checks find a wrong kernel's output.
#include "graph/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "formats/registry.h"
#include "graph/passes.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::graph {
namespace {

core::Tensor filled(core::Shape shape, float start) {
    core::Tensor t = formats::make_tensor(formats::get("f32"), shape);
    for (std::int64_t i = 0; i < shape.elements(); ++i) t.row_f32(0)[i] = std::sin(start + 0.7f * static_cast<float>(i));
    return t;
}

// activation(x Wg) * (x Wu), then back, with a residual: a feed-forward layer.
Graph feed_forward(std::int64_t rows, std::string_view activation = "silu") {
    Graph g;
    const Value x = g.input("x", ops::f32({rows, 64}));
    const Value gate = g.add(activation, {g.add("matmul", {x, g.constant("gate", filled({96, 64}, 1))}, {}, "gate_product")});
    const Value up = g.add("matmul", {x, g.constant("up", filled({96, 64}, 2))}, {}, "up_product");
    const Value act = g.add("multiply", {gate, up}, {}, "act");
    g.add(activation, {up}, {}, "nobody reads this");
    g.output(g.add("add", {x, g.add("matmul", {act, g.constant("down", filled({64, 96}, 3))}, {}, "down_product")}, {}, "residual"));
    return g;
}

struct Runner {
    core::Pool pool{2};
    Plan plan;
    core::Tensor x, arena;
    std::vector<std::int32_t> zeros;
    Runner(const Graph& graph, std::int64_t rows, PlanOptions options) : plan(graph, pool, options), x(filled({rows, 64}, 0)), zeros(static_cast<std::size_t>(rows)) {
        arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
        plan.set_input("x", x.data);
        plan.bind(arena.data, {});
    }
    ops::Batch batch() const { return {zeros, zeros}; }
    std::vector<float> run() {
        plan.run(batch());
        return {plan.output().row_f32(0), plan.output().row_f32(0) + plan.output().shape.elements()};
    }
};

int count_nodes(const Graph& g, std::string_view op) {
    int count = 0;
    for (const Node& node : g.nodes()) count += node.op && node.op->name == op;
    return count;
}

TEST(Passes, FuseTheGateAndDropTheDead) {
    const Graph g = optimize(feed_forward(3));
    EXPECT_EQ(0, count_nodes(g, "silu"));
    EXPECT_EQ(0, count_nodes(g, "multiply"));
    EXPECT_EQ(1, count_nodes(g, "swiglu"));
    EXPECT_EQ(3, count_nodes(g, "matmul"));
}

TEST(Passes, FuseTheGatesOfOtherActivations) {
    for (const auto& [activation, gate] : {std::pair{"gelu", "geglu"}, {"relu", "reglu"}, {"sigmoid", "glu"}}) {
        SCOPED_TRACE(activation);
        const Graph g = optimize(feed_forward(3, activation));
        EXPECT_EQ(0, count_nodes(g, activation));
        EXPECT_EQ(0, count_nodes(g, "multiply"));
        EXPECT_EQ(1, count_nodes(g, gate));
        Runner fused(feed_forward(3, activation), 3, {}), apart(feed_forward(3, activation), 3, {.use_reference = true});
        const std::vector<float> a = fused.run(), b = apart.run();
        const float largest = *std::max_element(b.begin(), b.end());
        for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5f * largest) << "at " << i;
    }
    EXPECT_EQ(1, count_nodes(optimize(feed_forward(3, "tanh")), "tanh"));
}

TEST(Passes, LeaveASiluThatOthersRead) {
    Graph g;
    const Value x = g.input("x", ops::f32({2, 8}));
    const Value s = g.add("silu", {x});
    g.output(g.add("multiply", {s, x}));
    g.output(s);
    EXPECT_EQ(1, count_nodes(optimize(g), "silu"));
}

TEST(Plan, OptimizedKernelsGiveWhatTheReferenceGives) {
    for (const std::int64_t rows : {1, 5, 33})
        for (const cpu::Isa isa : cpu::available_isas()) {
            Runner fast(feed_forward(rows), rows, {.isa = isa}), slow(feed_forward(rows), rows, {.use_reference = true});
            const std::vector<float> a = fast.run(), b = slow.run();
            float largest = 0;
            for (const float value : b) largest = std::max(largest, std::fabs(value));
            for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-5f * largest) << rows << " rows at " << cpu::name(isa);
        }
}

TEST(Plan, ExplainsItsChoices) {
    Runner many(feed_forward(33), 33, {.isa = cpu::Isa::base}), one(feed_forward(1), 1, {.isa = cpu::Isa::base});
    EXPECT_NE(std::string::npos, many.plan.explain().find("rows: made for up to 4 rows, here are 33"));
    EXPECT_NE(std::string::npos, many.plan.explain().find("panels"));
    const core::Json rows = one.plan.explain_json();
    for (const core::Json& row : rows.items()) EXPECT_NE("reference", row.at("kernel").string()) << row.at("node").string();
}

TEST(Plan, RoundsToBf16OnlyWhenAsked) {
    if (cpu::highest_isa() < cpu::Isa::avx512 || !cpu::has_avx512_bf16()) GTEST_SKIP() << "this processor does not multiply bf16";
    Runner exact(feed_forward(40), 40, {.isa = cpu::Isa::avx512}), rounded(feed_forward(40), 40, {.isa = cpu::Isa::avx512, .bf16 = true});
    EXPECT_NE(std::string::npos, exact.plan.explain().find("pairs: multiplies in bf16, which was not asked for"));
    const std::vector<float> a = exact.run(), b = rounded.run();
    float largest = 0, worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::fabs(a[i])), worst = std::max(worst, std::fabs(a[i] - b[i]));
    EXPECT_LT(worst, 1e-2f * largest);
    EXPECT_GT(worst, 1e-5f * largest) << "nothing was rounded";
}

TEST(Plan, RefusesALevelThatTheProcessorLacks) {
    const cpu::Isa highest = cpu::highest_isa();
    if (highest == cpu::Isa::amx) GTEST_SKIP() << "this processor has every level";
    core::Pool pool{1};
    const PlanOptions options{.isa = static_cast<cpu::Isa>(static_cast<int>(highest) + 1)};
    try {
        const Plan plan(feed_forward(2), pool, options);
        FAIL() << "planned for " << cpu::name(options.isa);
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::usage);
        EXPECT_NE(std::string(error.what()).find(cpu::name(highest)), std::string::npos) << error.what();
    }
}

TEST(Plan, CheckFindsNothingInGoodKernelsAndEverythingAtToleranceZero) {
    Runner runner(feed_forward(7), 7, {.isa = cpu::highest_isa()});
    EXPECT_TRUE(runner.plan.run_checked(runner.batch(), 1e-4).empty());
    EXPECT_FALSE(runner.plan.run_checked(runner.batch(), -1).empty());
}

// The reference and the kernel both move a memory on; a check must let only one of them.
TEST(Plan, CheckMovesAMemoryOnOnce) {
    Graph g;
    g.output(g.add("token_shift", {g.input("x", ops::f32({2, 8}))}, {}, "shift"));
    core::Pool pool(1);
    Plan plan(g, pool, {.isa = cpu::Isa::base});
    const core::Tensor x = filled({2, 8}, 1), arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
    plan.set_input("x", x.data);
    plan.bind(arena.data, {formats::make_tensor(formats::get("f32"), {1, 1, 8})});
    const std::vector<std::int32_t> zeros(2), positions{0, 1};
    EXPECT_TRUE(plan.run_checked({zeros, positions}, 0).empty());
    EXPECT_EQ(0, plan.output().row_f32(0)[3]) << "nothing stands before the first row";
    EXPECT_EQ(x.row_f32(0)[3], plan.output().row_f32(1)[3]);
}

TEST(Plan, SwapsAConstant) {
    Runner runner(feed_forward(2), 2, {.isa = cpu::Isa::base});
    const std::vector<float> before = runner.run();
    runner.plan.set_constant("down", formats::make_tensor(formats::get("f32"), {64, 96}));  // zeros: only the residual is left
    const std::vector<float> after = runner.run();
    for (std::size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i], runner.x.row_f32(0)[i]);
    EXPECT_NE(before, after);
    EXPECT_THROW(runner.plan.set_constant("no such weight", filled({64, 96}, 0)), core::Error);
    EXPECT_THROW(runner.plan.set_constant("down", filled({64, 95}, 0)), core::Error);
}

TEST(Plan, ObservesInputsAndTimesNodes) {
    Runner runner(feed_forward(2), 2, {.isa = cpu::Isa::base});
    int products = 0;
    runner.plan.run_observed(runner.batch(), [&](const Node& node, std::span<const core::Tensor> inputs) {
        products += node.op->name == "matmul";
        EXPECT_TRUE(inputs[0]);
    });
    EXPECT_EQ(3, products);
    runner.plan.run_timed(runner.batch());
    double total = 0;
    for (const Plan::NodeTime& t : runner.plan.node_times()) total += t.nanoseconds;
    EXPECT_GT(total, 0);
}

TEST(Graph, NamesTheNodeThatDoesNotFit) {
    Graph g;
    const Value x = g.input("x", ops::f32({2, 63}));
    try {
        g.add("matmul", {x, g.constant("w", filled({4, 64}, 0))}, {}, "blk.0.attn_q");
        FAIL() << "shapes that do not fit were taken";
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::shape, error.kind());
        EXPECT_EQ(0u, std::string(error.what()).find("blk.0.attn_q: "));
    }
}

}  // namespace
}  // namespace tailor::graph
