// Clamped SwiGLU: the gate of gpt-oss, with g = min(gate, limit) and u = up clamped to [-limit, limit]:
//     y = g / (1 + exp(-alpha g)) * (u + 1)
//
// OpenAI, "gpt-oss-120b and gpt-oss-20b Model Card", 2025: SwiGLU "with clamping and a residual connection", alpha 1.702, limit 7.
// The clamps keep large activations within what 4-bit weights were trained with.
#include <cmath>

#include "cpu/simd.h"
#include "ops/elementwise.h"

#define TAILOR_THIS_FILE "ops/clamped_swiglu.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::clamped_swiglu_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void apply(const float* gate, const float* up, float alpha, float limit, float* y, std::int64_t count) noexcept {
    const Vector most = broadcast(limit);
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector g = minimum(load(gate + i), most), u = minimum(maximum(load(up + i), -most), most);
        store(y + i, g / (exponential(g * -alpha) + 1.0f) * (u + 1.0f));
    }
    for (; i < count; ++i) {
        const float g = std::min(gate[i], limit), u = std::clamp(up[i], -limit, limit);
        y[i] = g / (1.0f + std::exp(-alpha * g)) * (u + 1.0f);
    }
}

static void run(const Call& call) noexcept {
    const auto alpha = static_cast<float>(call.attributes.real("alpha")), limit = static_cast<float>(call.attributes.real("limit"));
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, alpha, limit, call.output.row_f32(r) + begin, end - begin);
    });
}

}  // namespace tailor::ops::clamped_swiglu_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::clamped_swiglu_kernels {

static void reference(const Call& call) {
    const double alpha = call.attributes.real("alpha"), limit = call.attributes.real("limit");
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> a = row_as_double(call.inputs[0], r);
        const std::vector<double> b = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < a.size(); ++i) {
            const double g = std::min(a[i], limit);
            a[i] = g / (1 + std::exp(-alpha * g)) * (std::clamp(b[i], -limit, limit) + 1);
        }
        store_row(call.output, r, a);
    }
}

// Limits within reach of normal numbers, so that both sides of each clamp are seen.
static std::vector<Case> cases() {
    std::vector<Case> list = elementwise_cases<2>();
    for (std::size_t i = 0; i < list.size(); ++i) list[i].attributes = {{"alpha", 1.702}, {"limit", i % 2 ? 0.5 : 7.0}};
    return list;
}

static std::vector<Value> gradient(const Differentiation& d) {
    const auto of = [&](std::int64_t input) {
        Attributes attributes = d.attributes;
        attributes.set("input", input);
        return d.graph.add("clamped_swiglu_gradient", {d.input(0), d.input(1), d.gradient}, std::move(attributes));
    };
    return {d.wants(0) ? of(0) : -1, d.wants(1) ? of(1) : -1};
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one vector at a time", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::clamped_swiglu_kernels

namespace tailor::ops::entries {
extern const Op clamped_swiglu = {
    .name = "clamped_swiglu",
    .doc = "gate, up [rows, width] -> [rows, width]: g / (1 + exp(-alpha g)) * (u + 1), g = min(gate, limit), u = up within [-limit, limit]",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &clamped_swiglu_kernels::reference,
    .kernels = clamped_swiglu_kernels::kernels,
    .cost = &elementwise_cost,
    .in_place = true,
    .cases = &clamped_swiglu_kernels::cases,
    .gradient = &clamped_swiglu_kernels::gradient,
};
}  // namespace tailor::ops::entries
#endif
