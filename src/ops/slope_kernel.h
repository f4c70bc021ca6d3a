// The kernel of operators whose result is a slope times a gradient, in one pass over memory: see slope.h.
//
// Included inside each instruction-set level's namespace under that level's target, after a struct Slope with
//     static Vector at(Vector x, float parameter)
// hence no include guard and no includes.

/// y = gradient * slope(x), times `factor` unless it is null. The last values of a row go through a buffer.
static void apply_slope(const float* x, const float* gradient, const float* factor, float* y, std::int64_t count, float parameter) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const Vector slope = load(gradient + i) * Slope::at(load(x + i), parameter);
        store(y + i, factor ? slope * load(factor + i) : slope);
    }
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, Slope::at(load(rest), parameter));
    for (std::int64_t j = i; j < count; ++j) y[j] = gradient[j] * rest[j - i] * (factor ? factor[j] : 1.0f);
}

static void run(const Call& call) noexcept {
    const core::Tensor* const factor = call.input(2);
    const float parameter = slope_parameter(call.attributes);
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply_slope(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, factor ? factor->row_f32(r) + begin : nullptr, call.output.row_f32(r) + begin,
                    end - begin, parameter);
    });
}
