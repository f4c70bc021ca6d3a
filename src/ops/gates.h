// The kernel of gated units that need nothing but their gate's function: y = gate(x) * up.
//
// Included inside each instruction-set level's namespace under that level's target, after ops/elementwise.h and a function
// `Vector gate(Vector)`; hence no include guard and no includes.

static void apply(const float* x, const float* up, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, gate(load(x + i)) * load(up + i));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, gate(load(rest)));
    for (std::int64_t j = i; j < count; ++j) y[j] = rest[j - i] * up[j];
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.inputs[1].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}
