// An operator for the extension test: x * x, element by element.
//
// It is what a newcomer's first operator looks like: this one file, no other file touched. The test copies it to
// src/ops/toy_square.cpp of a copy of the sources.
#include "ops/elementwise.h"

namespace tailor::ops::entries {

// The test also builds this file with 1.05f here; the conformance suite must then fail.
static constexpr float mistake = 1.0f;

static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> x = row_as_double(call.inputs[0], r);
        for (double& value : x) value *= value;
        store_row(call.output, r, x);
    }
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        const float* const x = call.inputs[0].row_f32(r);
        for (std::int64_t i = begin; i < end; ++i) call.output.row_f32(r)[i] = mistake * x[i] * x[i];
    });
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.graph.add("scale", {d.graph.add("multiply", {d.gradient, d.input(0)})}, {{"factor", 2.0}})};
}

static const Kernel kernels[] = {{.name = "plain", .doc = "one element at a time", .run = {{&run}}}};

extern const Op toy_square = {
    .name = "toy_square",
    .doc = "x [rows, width] -> [rows, width]: x * x; for the test that operators need one file only",
    .shape = &elementwise_shape,
    .reference = &reference,
    .kernels = kernels,
    .cost = &elementwise_cost,
    .cases = &elementwise_cases<1>,
    .gradient = &gradient,
};

}  // namespace tailor::ops::entries
