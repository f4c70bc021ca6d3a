// The kernel of operators that apply one function to every number.
//
// Included inside each instruction-set level's namespace under that level's target, after the function in vectors,
//     static Vector value(Vector x)
// hence no include guard and no includes. The last numbers of a row go through a buffer.

static void apply(const float* x, float* y, std::int64_t count) noexcept {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, value(load(x + i)));
    if (i == count) return;
    float rest[lanes] = {};
    std::copy(x + i, x + count, rest);
    store(rest, value(load(rest)));
    std::copy(rest, rest + (count - i), y + i);
}

static void run(const Call& call) noexcept {
    for_each_range(call, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        apply(call.inputs[0].row_f32(r) + begin, call.output.row_f32(r) + begin, end - begin);
    });
}
