// Pass within: a gradient where a value lies strictly between two limits, and 0 elsewhere.
//
// The derivative of clamping to [low, high], and with low = 0 and no other limit that of ReLU. At the limits themselves, where there is
// no derivative, it is 0.
#include <limits>

#include "ops/elementwise.h"

namespace tailor::ops::pass_within_kernels {

constexpr double no_limit = std::numeric_limits<float>::max();

static void run(const Call& call) noexcept {
    const auto low = static_cast<float>(call.attributes.real("low", -no_limit)), high = static_cast<float>(call.attributes.real("high", no_limit));
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        const float *const x = call.inputs[0].row_f32(r), *const gradient = call.inputs[1].row_f32(r);
        float* const y = call.output.row_f32(r);
        for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] > low && x[i] < high ? gradient[i] : 0.0f;
    });
}

static void reference(const Call& call) {
    const double low = call.attributes.real("low", -no_limit), high = call.attributes.real("high", no_limit);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y = row_as_double(call.inputs[1], r);
        for (std::size_t i = 0; i < y.size(); ++i)
            if (!(x[i] > low && x[i] < high)) y[i] = 0;
        store_row(call.output, r, y);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list = elementwise_cases<2>();
    for (std::size_t i = 0; i < list.size(); ++i) {
        list[i].attributes.set("low", i % 2 ? 0.0 : -1.25);
        if (i % 2 == 0) list[i].attributes.set("high", 1.25);
        list[i].tolerance = 0;
    }
    return list;
}

// The limits do not move, so the derivative with respect to x is 0 wherever there is one.
static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.filled(d.shape(0), 0) : -1, d.wants(1) ? d.graph.add("pass_within", {d.input(0), d.gradient}, d.attributes) : -1};
}

static const Kernel kernels[] = {{.name = "plain", .doc = "one comparison per value", .run = {{&run}}}};

}  // namespace tailor::ops::pass_within_kernels

namespace tailor::ops::entries {
extern const Op pass_within = {
    .name = "pass_within",
    .doc = "x, gradient [rows, width], attributes low and high (no limit) -> [rows, width]: gradient where low < x < high, else 0",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &elementwise_shape,
    .reference = &pass_within_kernels::reference,
    .kernels = pass_within_kernels::kernels,
    .cost = &elementwise_cost,
    .cases = &pass_within_kernels::cases,
    .gradient = &pass_within_kernels::gradient,
};
}  // namespace tailor::ops::entries
