// Clamp: every value kept within [-limit, limit].
//
// MPT clips queries, keys and values this way (MosaicML, 2023: attn_config.clip_qkv) against outliers in training.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/clamp.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::clamp_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x, float limit) { return minimum(maximum(x, broadcast(-limit)), broadcast(limit)); }

static void apply(const float* x, float* y, std::int64_t count, float limit) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, value(load(x + i), limit));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, value(load(rest), limit));
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    const auto limit = static_cast<float>(call.attributes.real("limit"));
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin, limit);
    });
}

}  // namespace tailor::ops::clamp_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::clamp_kernels {

static void reference(const Call& call) {
    const double limit = call.attributes.real("limit");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = std::clamp(x, -limit, limit);
        store_row(call.output, r, a);
    }
}

static TensorType shape(const NodeView& node) {
    require(node.attributes.real("limit") > 0, "clamp: the limit must be positive", node);
    return elementwise_shape(node);
}

static std::vector<Case> cases() {
    std::vector<Case> list = elementwise_cases<1>();
    for (Case& c : list) c.attributes.set("limit", 1.25);
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const double limit = d.attributes.real("limit");
    return {d.graph.add("pass_within", {d.input(0), d.gradient}, {{"low", -limit}, {"high", limit}})};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::clamp_kernels

namespace tailor::ops::entries {
extern const Op clamp = {
    .name = "clamp",
    .doc = "x [rows, width], attribute limit > 0 -> [rows, width]: min(max(x, -limit), limit)",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &clamp_kernels::shape,
    .reference = &clamp_kernels::reference,
    .kernels = clamp_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &clamp_kernels::cases,
    .gradient = &clamp_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
