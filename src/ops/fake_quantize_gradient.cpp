// The gradient of fake_quantize, straight through: of the weights, or of the factors on the scales of their blocks.
//
// With y the rounded weights, w the weights, g the gradient of y, and "inside" where w lies at most `margin` codes beyond what its block holds:
//     weights:              g where inside, else 0
//     factors p (scales 1): sum over the block of g (y - w) / p where inside, g y / p else
// See fake_quantize.cpp for why.
#include "ops/rounded_weights.h"

#define TAILOR_THIS_FILE "ops/fake_quantize_gradient.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::fake_quantize_gradient_kernels::TAILOR_ISA {

// Sums of a block in double: gradients of either sign cancel.
static void of_factors(const Call& call, std::int64_t r, std::int64_t begin, std::int64_t count, const std::byte* blocks, const float* inside) noexcept {
    const formats::Format& format = *call.inputs[1].format;
    const std::int64_t first = (r * call.inputs[0].shape.width() + begin) / format.values_per_block;
    const float *const w = call.inputs[0].row_f32(r) + begin, *const g = call.inputs[2].row_f32(r) + begin;
    float rounded[piece_values];
    format.decode.at(call.isa)(blocks, rounded, count);
    for (std::int64_t b = 0; b < count / format.values_per_block; ++b) {
        double total = 0;
        for (std::int64_t i = b * format.values_per_block; i < (b + 1) * format.values_per_block; ++i)
            total += static_cast<double>(g[i]) * static_cast<double>(rounded[i] - (inside[i] > 0 ? w[i] : 0.0f));
        call.output.row_f32(0)[first + b] = static_cast<float>(total / static_cast<double>(call.inputs[3].row_f32(0)[first + b]));
    }
}

static void run(const Call& call) noexcept {
    const core::Tensor &weights = call.inputs[0], &packed = call.inputs[1], &gradient = call.inputs[2];
    const double margin = call.attributes.real("margin");
    const bool scales = call.attributes.integer("scales") != 0;
    const std::int64_t rows = weights.shape.rows(), chunk = rows_per_chunk(weights.shape.width() * 4);
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        float inside[piece_values];
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
            for_rounded_pieces(weights, packed, call.input(3), r, call.isa, [&](std::int64_t begin, std::int64_t count, const std::byte* blocks) {
                formats::mark_reached(*packed.format, weights.row_f32(r) + begin, blocks, margin, inside, count);
                if (scales) return of_factors(call, r, begin, count, blocks, inside);
                for (std::int64_t i = 0; i < count; ++i) call.output.row_f32(r)[begin + i] = gradient.row_f32(r)[begin + i] * inside[i];
            });
    });
}

static void pass_all(const Call& call) noexcept {
    const std::int64_t count = call.output.shape.elements(), chunk = 1 << 16;
    call.pool->run((count + chunk - 1) / chunk, [&](std::int64_t c, int) {
        const std::int64_t begin = c * chunk;
        std::memcpy(call.output.row_f32(0) + begin, call.inputs[2].row_f32(0) + begin, 4 * static_cast<std::size_t>(std::min(chunk, count - begin)));
    });
}

}  // namespace tailor::ops::fake_quantize_gradient_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::fake_quantize_gradient_kernels {

/// Margins from here on are everywhere: codes of eight bits reach no farther.
static constexpr double everywhere = 1e6;

static TensorType shape(const NodeView& node) {
    require_rounded(node, 3);
    require_f32(node, 2);
    require(node.inputs[2].shape == node.inputs[0].shape, "fake_quantize_gradient: one gradient per weight is needed", node);
    if (node.attributes.integer("scales") == 0) return node.inputs[0];
    require(static_cast<bool>(node.input(3)), "fake_quantize_gradient: there are no factors to give a gradient of", node);
    return node.inputs[3];
}

static void reference(const Call& call) {
    const core::Tensor &weights = call.inputs[0], &packed = call.inputs[1];
    const formats::Format& format = *packed.format;
    const bool scales = call.attributes.integer("scales") != 0;
    std::vector<double> of_block(static_cast<std::size_t>(weights.shape.elements() / format.values_per_block));
    for (std::int64_t r = 0; r < weights.shape.rows(); ++r)
        for_rounded_pieces(weights, packed, call.input(3), r, cpu::Isa::base, [&](std::int64_t begin, std::int64_t count, const std::byte* blocks) {
            float inside[piece_values], rounded[piece_values];
            formats::mark_reached(format, weights.row_f32(r) + begin, blocks, call.attributes.real("margin"), inside, count);
            format.decode.functions[0](blocks, rounded, count);
            for (std::int64_t i = 0; i < count; ++i) {
                const float w = weights.row_f32(r)[begin + i], g = call.inputs[2].row_f32(r)[begin + i];
                if (!scales) call.output.row_f32(r)[begin + i] = inside[i] > 0 ? g : 0;
                else of_block[static_cast<std::size_t>((r * weights.shape.width() + begin + i) / format.values_per_block)] += static_cast<double>(g) * static_cast<double>(rounded[i] - (inside[i] > 0 ? w : 0));
            }
        });
    for (std::size_t b = 0; scales && b < of_block.size(); ++b) call.output.row_f32(0)[b] = static_cast<float>(of_block[b] / static_cast<double>(call.inputs[3].row_f32(0)[b]));
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 8.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (Case c : rounded_cases(true)) {
        for (const double margin : {0.5, 1e9}) {
            c.attributes = {{"margin", margin}, {"scales", std::int64_t{0}}};
            list.push_back(c);
        }
        if (c.inputs.size() < 4) continue;
        c.attributes = {{"margin", 0.5}, {"scales", std::int64_t{1}}};
        list.push_back(c);
    }
    return list;
}

static std::string declines_ends(const NodeView& node) {
    return node.attributes.real("margin") >= everywhere && node.attributes.integer("scales") == 0 ? std::string() : std::string("it looks at no ends");
}

static const Kernel kernels[] = {
    {.name = "copy", .doc = "the gradient as it is", .run = TAILOR_EACH_ISA(pass_all), .declines = &declines_ends},
    {.name = "rows", .doc = "a row rounded in blocks and compared with its ends", .run = TAILOR_EACH_ISA(run)},
};

}  // namespace tailor::ops::fake_quantize_gradient_kernels

namespace tailor::ops::entries {
extern const Op fake_quantize_gradient = {
    .name = "fake_quantize_gradient",
    .doc = "w [.., n], blocks of the same shape, gradient [.., n], optional factors [blocks] -> the gradient of w [.., n], or of the factors (scales 1)",
    .least_inputs = 3,
    .most_inputs = 4,
    .shape = &fake_quantize_gradient_kernels::shape,
    .reference = &fake_quantize_gradient_kernels::reference,
    .kernels = fake_quantize_gradient_kernels::kernels,
    .cost = &fake_quantize_gradient_kernels::cost,
    .cases = &fake_quantize_gradient_kernels::cases,
    .not_differentiable = "it is a derivative, and the rounding has none of second order",
};
}  // namespace tailor::ops::entries
#endif
