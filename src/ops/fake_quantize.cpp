// Fake quantization: f32 weights as they will be once they are stored, for training with the rounding in place.
//
//     y = decode(encode(w)),  the codes found anew for the scales of `blocks` (formats/given_scales.h), these times a factor per block, if given
// Encoder and decoder are the format's own, so what is trained is what is written, to the bit. The rounding has no useful derivative; the
// gradient goes straight through to w (Bengio, Leonard and Courville, 2013), but not where w lies beyond what the block can hold, `margin`
// codes and more, since there moving w changes nothing. With p the factor of a block and w inside, the derivative with respect to p is
// that of p * code(w / p), (y - w) / p; beyond the ends it is y / p: Esser et al., "Learned Step Size Quantization", 2020, equation 3.
// Without the check of the ends it is how ternary models are trained: Ma et al., "The Era of 1-bit LLMs", 2024, section 2.
#include "ops/rounded_weights.h"

#define TAILOR_THIS_FILE "ops/fake_quantize.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::fake_quantize_kernels::TAILOR_ISA {

static void run(const Call& call) noexcept {
    const core::Tensor &weights = call.inputs[0], &packed = call.inputs[1];
    const std::int64_t rows = weights.shape.rows(), chunk = rows_per_chunk(weights.shape.width() * 4);
    const formats::Decode decode = packed.format->decode.at(call.isa);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            for_rounded_pieces(weights, packed, call.input(2), r, call.isa,
                               [&](std::int64_t begin, std::int64_t count, const std::byte* blocks) { decode(blocks, call.output.row_f32(r) + begin, count); });
    });
}

}  // namespace tailor::ops::fake_quantize_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::fake_quantize_kernels {

static TensorType shape(const NodeView& node) {
    require_rounded(node, 2);
    return node.inputs[0];
}

// Rounding is discontinuous: which code is nearest is part of the definition and found in f32, as the kernel finds it.
static void reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r)
        for_rounded_pieces(call.inputs[0], call.inputs[1], call.input(2), r, cpu::Isa::base, [&](std::int64_t begin, std::int64_t count, const std::byte* blocks) {
            call.inputs[1].format->decode.functions[0](blocks, call.output.row_f32(r) + begin, count);
        });
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 8.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() { return rounded_cases(false); }

static std::vector<Value> gradient(const Differentiation& d) {
    std::vector<Value> result(3, -1);
    for (std::int64_t side = 0; side < 3; side += 2)
        if (d.wants(static_cast<std::size_t>(side)))
            result[static_cast<std::size_t>(side)] = d.graph.add("fake_quantize_gradient", {d.input(0), d.input(1), d.gradient, d.input(2)},
                                                                 {{"margin", d.attributes.real("margin", 0.5)}, {"scales", std::int64_t{side == 2}}});
    return result;
}

static const Kernel kernels[] = {{.name = "rows", .doc = "a row rounded in blocks, then decoded", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::fake_quantize_kernels

namespace tailor::ops::entries {
extern const Op fake_quantize = {
    .name = "fake_quantize",
    .doc = "w [.., n], blocks of the same shape, optional factors [blocks] -> [.., n]: w rounded to the codes of the blocks' scales; gradient straight through",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &fake_quantize_kernels::shape,
    .reference = &fake_quantize_kernels::reference,
    .kernels = fake_quantize_kernels::kernels,
    .cost = &fake_quantize_kernels::cost,
    .cases = &fake_quantize_kernels::cases,
    .gradient = &fake_quantize_kernels::gradient,
    .surrogate = "rounding is a staircase, whose derivative is 0 wherever it has one",
};
}  // namespace tailor::ops::entries
#endif
