// Builds a small graph by hand, runs it by its kernels, and checks every kernel against its reference.
#include <cstdio>

#include "core/error.h"
#include "formats/registry.h"
#include "graph/plan.h"
#include "ops/support.h"

using namespace tailor;

int main() try {
    // y = rms_norm(x W^T): a 4-bit weight of 8 rows, 3 rows of x.
    const std::vector<float> values(8 * 64, 0.25f);
    core::Tensor weight = formats::make_tensor(formats::get("q4_0"), {8, 64});
    for (std::int64_t r = 0; r < 8; ++r) weight.format->encode(values.data() + r * 64, nullptr, weight.row(r), 64);
    core::Tensor norm = formats::make_tensor(formats::get("f32"), {8});
    for (int i = 0; i < 8; ++i) norm.row_f32(0)[i] = 1;

    graph::Graph g;
    const graph::Value x = g.input("x", ops::f32({3, 64}));
    const graph::Value product = g.add("matmul", {x, g.constant("weight", weight)}, {}, "product");
    g.output(g.add("rms_norm", {product, g.constant("norm", norm)}, {{"epsilon", 1e-5}}, "normalized"));

    core::Pool pool;
    graph::Plan plan(g, pool, {.isa = cpu::active_isa()});
    std::vector<float> input(3 * 64, 0.5f);
    const core::Tensor arena = formats::make_tensor(formats::get("f32"), {plan.arena_bytes() / 4 + 1});
    const std::vector<std::int32_t> zeros(3);
    plan.set_input("x", input.data());
    plan.bind(arena.data, {});
    const bool good = plan.run_checked({zeros, zeros}, 1e-4).empty();
    std::printf("%sfirst value %.3f, kernels %s their references\n", plan.explain().c_str(), plan.output().row_f32(0)[0], good ? "agree with" : "DIFFER from");
    return good ? 0 : 1;
} catch (const core::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
}
