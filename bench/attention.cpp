// What attention costs: prompts and single tokens over KV caches of several formats, for the shape of a 1.1B Llama layer
// (32 query heads, 4 kv heads, 64 wide) and for the same heads without grouping.
//
// Usage: bench_attention [repetitions] [threads] [cache format]; with a format only its lines. Times are medians. GMAC/s counts the
// products that the causal mask leaves: two per key, query head and dimension. The share is of the f32 peak, found by timing
// register-only fused multiply-adds on as many threads; 16- and 8-bit integer products may exceed it. GB/s counts the keys and values
// read once per kv head.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "cpu/simd.h"
#include "formats/registry.h"
#include "ops/attention/cache.h"
#include "ops/registry.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "../bench/attention.cpp"
#include "cpu/for_each_isa.h"

namespace bench::TAILOR_ISA {
using namespace tailor::cpu::TAILOR_ISA;

// Eight independent chains of fused multiply-adds, as many as two units of latency four need; returns the products done.
static double multiply_add(std::int64_t rounds, float* sink) noexcept {
    const Vector a = broadcast(sink[0]), b = broadcast(sink[1]);
    Vector s0 = a, s1 = a + 1, s2 = a + 2, s3 = a + 3, s4 = a + 4, s5 = a + 5, s6 = a + 6, s7 = a + 7;
    for (std::int64_t i = 0; i < rounds; ++i) {
        s0 = fused(s0, a, b), s1 = fused(s1, a, b), s2 = fused(s2, a, b), s3 = fused(s3, a, b);
        s4 = fused(s4, a, b), s5 = fused(s5, a, b), s6 = fused(s6, a, b), s7 = fused(s7, a, b);
    }
    sink[2] = sum(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7);
    return 8.0 * lanes * static_cast<double>(rounds);
}

}  // namespace bench::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace bench {

using namespace tailor;
// With one thread its processor time is taken, which neighbours on the machine disturb less.
static double now(const core::Pool& pool) {
    timespec t;
    clock_gettime(pool.threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

static double peak_products_per_second(core::Pool& pool) {
    using MultiplyAdd = double (*)(std::int64_t, float*) noexcept;
    const cpu::PerIsa<MultiplyAdd> functions = TAILOR_EACH_ISA(multiply_add);
    const MultiplyAdd function = functions.at(cpu::active_isa());
    std::vector<float> results(static_cast<std::size_t>(pool.threads()));
    double best = 0;
    for (int i = 0; i < 5; ++i) {
        const double start = now(pool);
        pool.run(pool.threads(), [&](std::int64_t, int thread) {
            float sink[3] = {0.5f, 0.25f, 0};
            function(4'000'000, sink);
            results[static_cast<std::size_t>(thread)] = sink[2];
        });
        float sink[3] = {0.5f, 0.25f, 0};
        const double products = pool.threads() * function(1, sink) * 4e6;
        best = std::max(best, products / (now(pool) - start));
    }
    if (results[0] == 0) std::puts("");  // the sums are used
    return best;
}

struct Shape {
    std::int64_t heads, kv_heads, head_dim, rows, past;
    int layers;  // distinct caches, so that decoding does not find its keys in the processor's cache
};

static void measure(const Shape& shape, const char* kv_format, int repetitions, core::Pool& pool, double peak) {
    const ops::Op& op = ops::get("attention");
    const ops::Attributes attributes = {{"heads", shape.heads}, {"kv_heads", shape.kv_heads}, {"scale", 1 / std::sqrt(static_cast<double>(shape.head_dim))}};
    const std::int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim, context = shape.past + shape.rows;
    const std::vector<ops::TensorType> types = {ops::f32({shape.rows, width}), ops::f32({shape.rows, kv_width}), ops::f32({shape.rows, kv_width})};
    const formats::Format& format = formats::get(kv_format);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<core::Tensor> inputs;
    for (const ops::TensorType& type : types) {
        inputs.push_back(formats::make_tensor(*type.format, type.shape));
        for (std::int64_t i = 0; i < type.shape.elements(); ++i) inputs.back().row_f32(0)[i] = normal(random);
    }
    std::vector<std::vector<core::Tensor>> layers(static_cast<std::size_t>(shape.layers));
    std::vector<float> row(static_cast<std::size_t>(shape.head_dim));
    for (auto& states : layers)
        for (int s = 0; s < 2; ++s) {
            states.push_back(formats::make_tensor(format, {1, shape.kv_heads, ops::attention_kernels::whole_tiles(context), shape.head_dim}));
            if (&states != &layers[0]) {
                std::memcpy(states.back().data, layers[0][static_cast<std::size_t>(s)].data, static_cast<std::size_t>(formats::tensor_bytes(format, states.back().shape)));
                continue;
            }
            for (std::int64_t r = 0; r < shape.kv_heads * context; ++r) {
                for (float& v : row) v = normal(random);
                using ops::attention_kernels::Side;
                write_position(states.back(), s ? Side::values : Side::keys, 0, r / context, r % context, row.data());
            }
        }
    const core::Tensor output = formats::make_tensor(formats::get("f32"), {shape.rows, width});
    const std::vector<std::int32_t> sequences(static_cast<std::size_t>(shape.rows), 0);
    std::vector<std::int32_t> positions;
    for (std::int64_t r = 0; r < shape.rows; ++r) positions.push_back(static_cast<std::int32_t>(shape.past + r));
    for (const ops::Kernel& kernel : op.kernels) {
        if (!kernel.can_run({attributes, types, op.shape({attributes, types, {}})})) continue;
        const ops::Run run = kernel.run.at(cpu::active_isa());
        std::vector<double> times;
        for (int i = 0; i <= repetitions; ++i) {
            const double start = now(pool);
            for (auto& states : layers) run({attributes, inputs, output, states, {sequences, positions}, &pool, cpu::active_isa()});
            if (i) times.push_back((now(pool) - start));
        }
        std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
        const double seconds = times[static_cast<std::size_t>(repetitions / 2)], rows = static_cast<double>(shape.rows);
        const double products = 2.0 * shape.layers * static_cast<double>(width) * (rows * static_cast<double>(shape.past) + rows * (rows + 1) / 2);
        const double bytes = 2.0 * shape.layers * static_cast<double>(shape.kv_heads * context * format.row_bytes(shape.head_dim));
        std::printf("%-6s %5lld rows after %5lld, %2lld/%lld heads of %3lld, %-5s %2d layers: %9.3f ms  %6.1f GMAC/s  %5.1f %% of f32  %5.1f GB/s\n", std::string(kernel.name).c_str(),
                    static_cast<long long>(shape.rows), static_cast<long long>(shape.past), static_cast<long long>(shape.heads), static_cast<long long>(shape.kv_heads),
                    static_cast<long long>(shape.head_dim), kv_format, shape.layers, seconds * 1e3, products / seconds * 1e-9, 100 * products / seconds / peak, bytes / seconds * 1e-9);
    }
}

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
    core::Pool pool(argc > 2 ? std::atoi(argv[2]) : 0);
    const double peak = peak_products_per_second(pool);
    std::printf("%s, %d threads, f32 peak %.1f GMAC/s\n", cpu::name(cpu::active_isa()), pool.threads(), peak * 1e-9);
    const auto measure_in = [&](std::initializer_list<const char*> formats, const Shape& shape, int rounds) {
        for (const char* format : formats)
            if (argc < 4 || std::strcmp(argv[3], format) == 0) measure(shape, format, rounds, pool, peak);
    };
    measure_in({"f32", "f16", "q8_0"}, {32, 4, 64, 512, 0, 1}, repetitions);
    measure_in({"f16", "q8_0", "q4_0"}, {32, 32, 64, 512, 0, 1}, repetitions);
    measure_in({"f16"}, {32, 8, 128, 512, 0, 1}, repetitions);
    measure_in({"f16", "q8_0"}, {32, 4, 64, 512, 7680, 1}, std::max(1, repetitions / 3));
    measure_in({"f32", "f16", "bf16", "q8_0", "q4_0"}, {32, 4, 64, 1, 8191, 22}, repetitions);
    measure_in({"q8_0"}, {32, 32, 64, 1, 2047, 8}, repetitions);
    measure_in({"q8_0"}, {32, 8, 128, 1, 8191, 8}, repetitions);
    for (const std::int64_t rows : {2, 4, 8, 16}) measure_in({"q8_0"}, {32, 4, 64, rows, 2048, 4}, repetitions);
}
#endif
