// Unpack codes: the numbers that pack_codes put into 8 or 4 bits, to within a step of their group.
//
// number = least + step code, group by group (ops/codes.h).
#include <algorithm>
#include <cstring>

#include "cpu/simd.h"
#include "ops/codes.h"

#define TAILOR_THIS_FILE "ops/unpack_codes.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::unpack_codes_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

static void unpack(const std::uint32_t* from, std::int64_t bits, float* y) noexcept {
    float low = 0, step = 0;
    std::memcpy(&low, from, sizeof low), std::memcpy(&step, from + 1, sizeof step);
    const std::int64_t words = codes::words_of(bits);
    const std::uint32_t mask = (1u << bits) - 1;
    for (std::int64_t w = 0; w < words; w += lanes) {
        Unsigned word;
        std::memcpy(&word, from + codes::head + w, sizeof word);
        for (std::int64_t j = 0; j < 32 / bits; ++j, word >>= static_cast<std::uint32_t>(bits))
            store(y + w + j * words, __builtin_convertvector(reinterpret_cast<Integers>(word & mask), Vector) * step + low);
    }
}

static void run(const Call& call) noexcept {
    const std::int64_t bits = codes::bits_of(call.attributes), numbers = call.output.shape.elements(), groups = call.inputs[0].shape.rows(), chunk = 32;
    call.pool->run((groups + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t g = c * chunk; g < std::min(groups, (c + 1) * chunk); ++g) {
            float* const y = call.output.row_f32(0) + g * codes::group;
            const auto* const from = reinterpret_cast<const std::uint32_t*>(call.inputs[0].row_i32(g));
            const std::int64_t rest = numbers - g * codes::group;
            if (rest >= codes::group) {
                unpack(from, bits, y);
                continue;
            }
            float last[codes::group];
            unpack(from, bits, last);
            std::copy_n(last, rest, y);
        }
    });
}

}  // namespace tailor::ops::unpack_codes_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::unpack_codes_kernels {

static TensorType shape(const NodeView& node) {
    codes::require_bits(node);
    core::Shape shape;
    for (std::int64_t i = 0; i < node.attributes.integer("rank"); ++i) shape.append(node.attributes.integer(core::format("dimension_{}", i)));
    require(node.inputs[0].format->name == "i32" && node.inputs[0].shape == core::Shape({codes::groups_of(shape.elements()), codes::head + codes::words_of(codes::bits_of(node.attributes))}),
            "unpack_codes: the groups do not hold a value of that shape", node);
    return f32(shape);
}

static void reference(const Call& call) {
    const std::int64_t bits = codes::bits_of(call.attributes), words = codes::words_of(bits);
    for (std::int64_t n = 0; n < call.output.shape.elements(); ++n) {
        const std::int64_t i = n % codes::group;
        const auto* const from = reinterpret_cast<const std::uint32_t*>(call.inputs[0].row_i32(n / codes::group));
        float low = 0, step = 0;
        std::memcpy(&low, from, sizeof low), std::memcpy(&step, from + 1, sizeof step);
        const std::uint32_t code = from[codes::head + i % words] >> (i / words * bits) & ((1u << bits) - 1);
        call.output.row_f32(0)[n] = static_cast<float>(static_cast<double>(low) + static_cast<double>(step) * code);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 4.0 * static_cast<double>(node.output.shape.elements())); }

/// Random words have any bits where the least number and the step stand.
static void confine(std::span<const core::Tensor> inputs) {
    for (std::int64_t g = 0; g < inputs[0].shape.rows(); ++g) {
        const float low = -1.5f + static_cast<float>(g), step = 0.01f;
        std::memcpy(inputs[0].row_i32(g), &low, sizeof low), std::memcpy(inputs[0].row_i32(g) + 1, &step, sizeof step);
    }
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t bits : {8, 4})
        for (const core::Shape shape : {core::Shape{1, 1}, core::Shape{3, 50}, core::Shape{37, 256}})
            list.push_back({.inputs = {i32({codes::groups_of(shape.elements()), codes::head + codes::words_of(bits)})},
                            .attributes = {{"bits", bits}, {"rank", std::int64_t{2}}, {"dimension_0", shape[0]}, {"dimension_1", shape[1]}},
                            .index_limit = 2000000000,
                            .confine = &confine});
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "a word of each lane, code after code", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::unpack_codes_kernels

namespace tailor::ops::entries {
extern const Op unpack_codes = {
    .name = "unpack_codes",
    .doc = "codes [groups, words] i32 of pack_codes, attributes bits, rank, dimension_0 to dimension_3 -> the numbers in that shape",
    .shape = &unpack_codes_kernels::shape,
    .reference = &unpack_codes_kernels::reference,
    .kernels = unpack_codes_kernels::kernels,
    .cost = &unpack_codes_kernels::cost,
    .cases = &unpack_codes_kernels::cases,
    .not_differentiable = "codes are whole numbers",
};
}  // namespace tailor::ops::entries
#endif
