// The second half of a gated feed-forward layer, without the neurons whose gate is small.
//
//     y = sum over i with |a[i]| > t[i] of  a[i] (Wup[i] . x) D[i],     a = silu(Wgate x),  D = Wdown transposed
// With t < 0 that is Wdown (a * (Wup x)). Most gates of a token are near zero, and a neuron whose gate is not above its threshold needs
// neither its row of Wup nor its column of Wdown, which are not read: where memory is the limit, half of the neurons is half of the
// time. One threshold for all neurons of a layer is CATS (Lee et al., "CATS: contextually-aware thresholding for sparsity", 2024), one
// for each is CHESS (He et al., "CHESS: channel-wise thresholding and selective sparsification", 2024). Only rows can be left unread, so
// Wdown comes transposed.
//
// Neurons are cut into parts of equal number, whatever the number of threads; each part adds up its own y, and the parts are added in
// their order.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#include "ops/support.h"

#define TAILOR_THIS_FILE "ops/sparse_feed_forward.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::sparse_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

// 4 KB of decoded weights stay in the first-level cache.
constexpr std::int64_t piece = 1024;
// Enough for the threads to finish together although the parts have unequal numbers of large gates.
constexpr std::int64_t most_parts = 32;

/// Values [begin, begin + count) of a weight row: in place where they are f32, else decoded into `buffer`.
static const float* decoded(const core::Tensor& weight, std::int64_t row, std::int64_t begin, std::int64_t count, cpu::Isa isa, float* buffer) noexcept {
    const formats::Format& format = *weight.format;
    const std::byte* const packed = weight.row(row) + begin / format.values_per_block * format.bytes_per_block;
    if (format.bytes_per_block == 4 && format.values_per_block == 1) return reinterpret_cast<const float*>(packed);
    format.decode.at(isa)(packed, buffer, count);
    return buffer;
}

static float product(const float* w, const float* x, std::int64_t count) noexcept {
    Vector sums[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
        sums[0] = fused(load(w + i), load(x + i), sums[0]);
        sums[1] = fused(load(w + i + lanes), load(x + i + lanes), sums[1]);
    }
    float tail = 0;
    for (; i < count; ++i) tail += w[i] * x[i];
    return sum(sums[0] + sums[1]) + tail;
}

static void add_multiple(float factor, const float* w, float* y, std::int64_t count) noexcept {
    const Vector f = broadcast(factor);
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(y + i, fused(f, load(w + i), load(y + i)));
    for (; i < count; ++i) y[i] += factor * w[i];
}

/// Asks for a row: which one comes next follows from the gates, so the processor's own prefetching cannot know it.
static void ask_for(const core::Tensor& weight, std::int64_t row) noexcept {
    const std::byte* const begin = weight.row(row);
    for (std::int64_t i = 0; i < weight.row_stride_bytes; i += 64) __builtin_prefetch(begin + i, 0, 2);
}

/// The first neuron from `i` on whose gate is above its threshold; `end` if there is none.
static std::int64_t next_neuron(const float* gates, const float* thresholds, std::int64_t i, std::int64_t end) noexcept {
    while (i < end && !(std::fabs(gates[i]) > thresholds[i])) ++i;
    return i;
}

/// Adds what the neurons [begin, end) give for row `r` to `y`.
static void add_neurons(const Call& call, std::int64_t r, std::int64_t begin, std::int64_t end, float* y) noexcept {
    const core::Tensor &up = call.inputs[2], &down = call.inputs[3];
    const float *const gates = call.inputs[0].row_f32(r), *const x = call.inputs[1].row_f32(r), *const thresholds = call.inputs[4].row_f32(0);
    const std::int64_t width = up.shape[1], outputs = down.shape[1];
    alignas(64) float buffer[piece];
    for (std::int64_t i = next_neuron(gates, thresholds, begin, end), next; i < end; i = next) {
        next = next_neuron(gates, thresholds, i + 1, end);
        if (next < end) ask_for(up, next);
        float value = 0;
        for (std::int64_t k = 0; k < width; k += piece) {
            const std::int64_t count = width - k < piece ? width - k : piece;
            value += product(decoded(up, i, k, count, call.isa, buffer), x + k, count);
        }
        if (next < end) ask_for(down, next);
        for (std::int64_t k = 0; k < outputs; k += piece) {
            const std::int64_t count = outputs - k < piece ? outputs - k : piece;
            add_multiple(gates[i] * value, decoded(down, i, k, count, call.isa, buffer), y + k, count);
        }
    }
}

static void run(const Call& call) noexcept {
    const std::int64_t neurons = call.inputs[0].shape.width(), outputs = call.output.shape.width();
    const std::int64_t parts = neurons < most_parts ? neurons : most_parts;
    float* const sums = reinterpret_cast<float*>(call.scratch);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        call.pool->run(parts, [&](std::int64_t part, int) {
            float* const y = sums + part * outputs;
            std::memset(y, 0, static_cast<std::size_t>(outputs) * sizeof(float));
            add_neurons(call, r, part * neurons / parts, (part + 1) * neurons / parts, y);
        });
        float* const y = call.output.row_f32(r);
        std::memcpy(y, sums, static_cast<std::size_t>(outputs) * sizeof(float));
        for (std::int64_t part = 1; part < parts; ++part) add_multiple(1, sums + part * outputs, y, outputs);
    }
}

}  // namespace tailor::ops::sparse_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::sparse_kernels {

static TensorType shape(const NodeView& node) {
    for (const std::size_t i : {0, 1, 4}) require_f32(node, i);
    const TensorType &gates = node.inputs[0], &x = node.inputs[1], &up = node.inputs[2], &down = node.inputs[3];
    require(up.shape == core::Shape({gates.shape.width(), x.shape.width()}) && x.shape.rows() == gates.shape.rows(), "sparse_feed_forward: up must be [neurons, width]", node);
    require(down.shape.rank() == 2 && down.shape[0] == gates.shape.width(), "sparse_feed_forward: down must have a row per neuron", node);
    require(up.layout == core::Layout::rows && down.layout == core::Layout::rows, "sparse_feed_forward: weights must stand in rows", node);
    require(node.inputs[4].shape.elements() == gates.shape.width(), "sparse_feed_forward: one threshold per neuron is needed", node);
    return f32({gates.shape.rows(), down.shape[1]});
}

static void reference(const Call& call) {
    const std::vector<double> thresholds = row_as_double(call.inputs[4], 0);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> gates = row_as_double(call.inputs[0], r), x = row_as_double(call.inputs[1], r);
        std::vector<double> y(static_cast<std::size_t>(call.output.shape.width()));
        for (std::size_t i = 0; i < gates.size(); ++i) {
            if (!(std::fabs(gates[i]) > thresholds[i])) continue;
            const std::vector<double> up = row_as_double(call.inputs[2], static_cast<std::int64_t>(i)), down = row_as_double(call.inputs[3], static_cast<std::int64_t>(i));
            double value = 0;
            for (std::size_t k = 0; k < x.size(); ++k) value += up[k] * x[k];
            for (std::size_t k = 0; k < y.size(); ++k) y[k] += gates[i] * value * down[k];
        }
        store_row(call.output, r, y);
    }
}

// As if every neuron were read: how many are is known only when it runs.
static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.inputs[0].shape.rows()) * static_cast<double>(node.inputs[2].shape.elements() + node.inputs[3].shape.elements()));
}

static std::int64_t scratch_bytes(const NodeView& node) { return base::most_parts * node.inputs[3].shape[1] * static_cast<std::int64_t>(sizeof(float)); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const char* const format : {"f32", "f16", "bf16", "q8_0", "q4_k"})
        for (const std::int64_t rows : {1, 3})
            for (const std::int64_t neurons : {5, 70, 256}) {
                const std::int64_t block = formats::get(format).values_per_block, width = block == 1 ? 37 : 5 * block, outputs = block == 1 ? 1100 : 2 * block;
                list.push_back({.inputs = {f32({rows, neurons}), f32({rows, width}), of(format, {neurons, width}), of(format, {neurons, outputs}), f32({neurons})}});
            }
    return list;
}

static const Kernel kernels[] = {{.name = "rows", .doc = "rows of both weights decoded into cache where the gate is large, others not read", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::sparse_kernels

namespace tailor::ops::entries {
extern const Op sparse_feed_forward = {
    .name = "sparse_feed_forward",
    .doc = "gates a [rows, n], x [rows, k], up [n, k], down transposed [n, m], thresholds t [n] -> [rows, m]: sum over |a| > t of a (up x) down",
    .least_inputs = 5,
    .most_inputs = 5,
    .shape = &sparse_kernels::shape,
    .reference = &sparse_kernels::reference,
    .kernels = sparse_kernels::kernels,
    .cost = &sparse_kernels::cost,
    .scratch_bytes = &sparse_kernels::scratch_bytes,
    .cases = &sparse_kernels::cases,
    .not_differentiable = "only made for running a model that was trained without it",
};
}  // namespace tailor::ops::entries
#endif
