// Pack codes: numbers to 8 or 4 bits, rounded at random so that on average nothing is lost.
//
// In a group from m to M with step s = (M - m) / (2^bits - 1), x becomes floor((x - m) / s + u) with u uniform in [0, 1): the mean of m + s code is
// x, so gradients made of such numbers are right on average. Chen et al., "ActNN: Reducing Training Memory Footprint via 2-Bit Activation
// Compressed Training", 2021, section 3.1 and theorem 1; groups of numbers rather than rows: section 4.1. u comes from a hash of the number's own bits
// and place, so that the same step gives the same codes, and the next step, whose numbers have moved, others. Codes are defined by
// sums in f32: that is how they are the same at every level.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#include "ops/codes.h"

#define TAILOR_THIS_FILE "ops/pack_codes.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::pack_codes_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

/// Numbers in [0, 1) with 24 bits, from the bits of x and where it stands.
static Vector noise(Vector x, Unsigned place) noexcept {
    Unsigned h;
    std::memcpy(&h, &x, sizeof h);
    h = (h ^ place) * 0x9E3779B1u;
    h ^= h >> 15;
    h *= 0x85EBCA77u;
    h ^= h >> 13;
    return __builtin_convertvector(reinterpret_cast<Integers>(h >> 8), Vector) * 0x1p-24f;
}

/// One group, all of it there.
static void pack(const float* x, std::int64_t bits, std::uint32_t place, std::uint32_t* out) noexcept {
    Vector least = load(x), most = least, poison = {};
    for (std::int64_t i = 0; i < codes::group; i += lanes) {
        const Vector v = load(x + i);
        least = v < least ? v : least, most = v > most ? v : most;
        poison += v * 0.0f;
    }
    float low = least[0], high = most[0], broken = poison[0];
    for (int l = 1; l < lanes; ++l) low = std::min(low, least[l]), high = std::max(high, most[l]), broken += poison[l];
    const auto levels = static_cast<float>((1 << bits) - 1);
    // What is not finite makes the whole group so when it is read: training then stops as it does without codes.
    const float step = (high - low) / levels + broken, inverse = step > 0 ? 1 / step : 0;
    std::memcpy(out, &low, sizeof low), std::memcpy(out + 1, &step, sizeof step);
    const std::int64_t words = codes::words_of(bits);
    Unsigned places;
    for (int l = 0; l < lanes; ++l) places[l] = place + static_cast<std::uint32_t>(l);
    const Vector top = broadcast(levels);
    for (std::int64_t w = 0; w < words; w += lanes) {
        Unsigned word = {};
        for (std::int64_t j = 0; j < 32 / bits; ++j) {
            const std::int64_t at = w + j * words;
            const Vector v = load(x + at);
            Vector code = (v - low) * inverse + noise(v, places + static_cast<std::uint32_t>(at));
            code = code < top ? code : top;
            word |= reinterpret_cast<Unsigned>(__builtin_convertvector(code, Integers)) << static_cast<std::uint32_t>(j * bits);
        }
        std::memcpy(out + codes::head + w, &word, sizeof word);
    }
}

static void run(const Call& call) noexcept {
    const std::int64_t bits = codes::bits_of(call.attributes), numbers = call.inputs[0].shape.elements(), groups = call.output.shape.rows(), chunk = 32;
    call.pool->run((groups + chunk - 1) / chunk, [&](std::int64_t c, int) {
        for (std::int64_t g = c * chunk; g < std::min(groups, (c + 1) * chunk); ++g) {
            const float* x = call.inputs[0].row_f32(0) + g * codes::group;
            float last[codes::group];
            if (const std::int64_t rest = numbers - g * codes::group; rest < codes::group) {
                for (std::int64_t i = 0; i < codes::group; ++i) last[i] = x[std::min(i, rest - 1)];
                x = last;
            }
            pack(x, bits, static_cast<std::uint32_t>(g * codes::group), reinterpret_cast<std::uint32_t*>(call.output.row_i32(g)));
        }
    });
}

}  // namespace tailor::ops::pack_codes_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::pack_codes_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    codes::require_bits(node);
    return i32({codes::groups_of(node.inputs[0].shape.elements()), codes::head + codes::words_of(codes::bits_of(node.attributes))});
}

static float noise(float x, std::uint32_t place) {
    std::uint32_t h = 0;
    std::memcpy(&h, &x, sizeof h);
    h = (h ^ place) * 0x9E3779B1u;
    h ^= h >> 15;
    h *= 0x85EBCA77u;
    h ^= h >> 13;
    return static_cast<float>(h >> 8) * 0x1p-24f;
}

static void reference(const Call& call) {
    const std::int64_t bits = codes::bits_of(call.attributes), numbers = call.inputs[0].shape.elements(), words = codes::words_of(bits);
    const auto levels = static_cast<float>((1 << bits) - 1);
    for (std::int64_t g = 0; g < call.output.shape.rows(); ++g) {
        const auto x = [&](std::int64_t i) { return call.inputs[0].row_f32(0)[std::min(g * codes::group + i, numbers - 1)]; };
        float low = x(0), high = x(0);
        for (std::int64_t i = 1; i < codes::group; ++i) low = std::min(low, x(i)), high = std::max(high, x(i));
        const float step = (high - low) / levels, inverse = step > 0 ? 1 / step : 0;
        auto* const out = reinterpret_cast<std::uint32_t*>(call.output.row_i32(g));
        std::memcpy(out, &low, sizeof low), std::memcpy(out + 1, &step, sizeof step);
        std::fill_n(out + codes::head, words, 0u);
        for (std::int64_t i = 0; i < codes::group; ++i) {
            const float code = std::min(levels, std::floor((x(i) - low) * inverse + noise(x(i), static_cast<std::uint32_t>(g * codes::group + i))));
            out[codes::head + i % words] |= static_cast<std::uint32_t>(code) << (i / words * bits);
        }
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 16.0 * static_cast<double>(node.inputs[0].shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t bits : {8, 4})
        for (const core::Shape shape : {core::Shape{1, 1}, core::Shape{3, 50}, core::Shape{37, 256}}) list.push_back({.inputs = {f32(shape)}, .attributes = {{"bits", bits}}, .tolerance = 0});
    return list;
}

static const Kernel kernels[] = {{.name = "simd", .doc = "one pass for the range of a group, one for its codes", .run = TAILOR_EACH_ISA(run)}};

}  // namespace tailor::ops::pack_codes_kernels

namespace tailor::ops::entries {
extern const Op pack_codes = {
    .name = "pack_codes",
    .doc = "x of any shape, attribute bits (8 or 4) -> [groups of 128, words] i32: the least number and the step of each group and codes rounded at random",
    .shape = &pack_codes_kernels::shape,
    .reference = &pack_codes_kernels::reference,
    .kernels = pack_codes_kernels::kernels,
    .cost = &pack_codes_kernels::cost,
    .cases = &pack_codes_kernels::cases,
    .not_differentiable = "codes are whole numbers",
};
}  // namespace tailor::ops::entries
#endif
