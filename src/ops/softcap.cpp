// Softcap: cap * tanh(x / cap), a smooth bound on logits.
//
// Bello et al., "Neural Combinatorial Optimization with Reinforcement Learning", 2016; Gemma 2 (2024), section 2. With
// e = exp(-2 |x| / cap), tanh is (1 - e) / (1 + e) with the sign of x.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/softcap.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::softcap_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

[[gnu::always_inline]] static inline Vector value(Vector x, float cap) {
    const Vector e = exponential(maximum(x, -x) * (-2 / cap));
    const Vector size = (1.0f - e) / (1.0f + e) * cap;
    return x < Vector{} ? -size : size;
}

static void apply(const float* x, float* y, std::int64_t count, float cap) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, value(load(x + i), cap));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, value(load(rest), cap));
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    const auto cap = static_cast<float>(call.attributes.real("cap"));
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin, cap);
    });
}

}  // namespace tailor::ops::softcap_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::softcap_kernels {

static void reference(const Call& call) {
    const double cap = call.attributes.real("cap");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        for (double& x : a) x = cap * std::tanh(x / cap);
        store_row(call.output, r, a);
    }
}

static TensorType shape(const NodeView& node) {
    require(node.attributes.real("cap") > 0, "softcap: the cap must be positive", node);
    return elementwise_shape(node);
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (Case& c : elementwise_cases<1>())
        for (const double cap : {0.5, 30.0}) {
            c.attributes.set("cap", cap);
            list.push_back(c);
        }
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) { return {d.graph.add("tanh_gradient", {d.output, d.gradient}, d.attributes)}; }

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::softcap_kernels

namespace tailor::ops::entries {
extern const Op softcap = {
    .name = "softcap",
    .doc = "x [rows, width], attribute cap > 0 -> [rows, width]: cap * tanh(x / cap)",
    .least_inputs = 1,
    .most_inputs = 1,
    .shape = &softcap_kernels::shape,
    .reference = &softcap_kernels::reference,
    .kernels = softcap_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &softcap_kernels::cases,
    .gradient = &softcap_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
