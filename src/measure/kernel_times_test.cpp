// Times of kernels: what is chosen by them, and what the store gives back.
#include "measure/kernel_times.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "measure/cost.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::measure {
namespace {

std::string slower_below_eight(const ops::NodeView& node) { return node.inputs[0].shape.rows() < 8 ? "made for eight rows" : ""; }
const ops::Kernel many{.name = "many", .doc = "", .run = {}, .slower = &slower_below_eight}, few{.name = "few", .doc = "", .run = {}}, other{.name = "other", .doc = "", .run = {}};

std::string_view fastest(const KernelTimes& times, std::int64_t rows, std::vector<const ops::Kernel*> kernels) {
    const ops::Attributes none;
    const std::vector<ops::TensorType> types{ops::f32({rows, 32}), {&formats::get("q4_0"), {32, 32}, core::Layout::panels}};
    const ops::Kernel* const kernel = times.fastest(kernels, {none, types, ops::f32({rows, 32})});
    return kernel ? kernel->name : "";
}

TEST(KernelTimes, ChooseByTheNearestRows) {
    const KernelTimes times{{1, 8, 64, 512}, {{"many", {200, 96, 50, 50}}, {"few", {100, 100, 100, 100}}}};
    EXPECT_EQ(fastest(times, 1, {&many, &few}), "few");
    EXPECT_EQ(fastest(times, 20, {&many, &few}), "many");
    EXPECT_EQ(fastest(times, 5000, {&many, &few}), "many");
    EXPECT_EQ(fastest(times, 20, {&few, &many}), "few") << "4 % are no reason to leave the first";
    EXPECT_EQ(fastest(times, 60, {&few, &many}), "many");
    EXPECT_EQ(fastest(times, 2000, {&few, &many}), "many");
    EXPECT_EQ(fastest(times, 60, {&few}), "few");
    EXPECT_EQ(fastest(times, 60, {&few, &other}), "") << "the other was not timed";
}

TEST(KernelTimes, OverruleTheGuessOfAList) {
    const KernelTimes times{{2, 4, 64, 128}, {{"many", {50, 50, 100, 100}}, {"few", {100, 100, 50, 50}}}};
    EXPECT_EQ(fastest(times, 4, {&many, &few}), "many");
    EXPECT_EQ(fastest(times, 64, {&many, &few}), "few");
    EXPECT_EQ(fastest({}, 4, {&many, &few}), "");
    const KernelTimes disturbed{{2, 4, 6}, {{"many", {100, 50, 100}}, {"few", {100, 100, 100}}}};
    EXPECT_EQ(fastest(disturbed, 4, {&few, &many}), "few") << "neither neighbour agrees";
}

TEST(KernelTimes, AreKeptInTheStoreAndChooseKernelsOfPlans) {
    core::Pool pool(1);
    const auto store = std::make_shared<Store>("");
    const formats::Format& format = formats::get("q4_k");
    EXPECT_FALSE(find_kernel_times(*store, format, cpu::Isa::base, 1));
    int calls = 0;
    const KernelTimes times = measure_kernels(pool, cpu::Isa::base, *store, format, {.rows = {1, 9}, .width = 256, .bytes = 100'000, .passes = 1, .done = [&](double) { ++calls; }});
    EXPECT_EQ(calls, 2);
    const std::optional<KernelTimes> found = find_kernel_times(*store, format, cpu::Isa::base, 1);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->rows, times.rows);
    ASSERT_EQ(found->kernels.size(), times.kernels.size());
    ASSERT_GE(times.kernels.size(), 2u);
    for (std::size_t i = 0; i < times.kernels.size(); ++i) {
        EXPECT_EQ(found->kernels[i].name, times.kernels[i].name);
        EXPECT_EQ(found->kernels[i].nanoseconds, times.kernels[i].nanoseconds);
        for (const double ns : times.kernels[i].nanoseconds) EXPECT_GT(ns, 0);
    }
    EXPECT_FALSE(find_kernel_times(*store, format, cpu::Isa::base, 2)) << "other threads, other times";

    graph::Graph g;
    const graph::Value x = g.input("x", ops::f32({1, 256}));
    const core::Tensor weight = formats::make_panels(random_weight(format, {16, 256}));
    g.output(g.add("matmul", {x, g.constant("w", weight)}));
    const graph::Plan plan(g, pool, {.isa = cpu::Isa::base, .preference = measured_preference(store, cpu::Isa::base)});
    std::vector<const ops::Kernel*> timed;
    for (const ops::Kernel& kernel : ops::get("matmul").kernels)
        for (const KernelTimes::Kernel& k : times.kernels)
            if (k.name == kernel.name) timed.push_back(&kernel);
    const ops::Attributes none;
    const std::vector<ops::TensorType> types{ops::f32({1, 256}), {&format, {16, 256}, core::Layout::panels}};
    EXPECT_EQ(plan.explain_json().items()[0].at("kernel").string(), times.fastest(timed, {none, types, ops::f32({1, 16})})->name);
    EXPECT_THROW(measure_kernels(pool, cpu::Isa::base, *store, formats::get("i32")), core::Error);
}

}  // namespace
}  // namespace tailor::measure
