// IEEE 754 binary16: 11 significant bits, from 2^-24 to 65504. The usual format of published models and of KV caches.
//
// Relative error of rounding is at most 2^-11 for normal values; weights beyond the largest finite value are stored as that
// value rather than as infinity, which is what least squares asks.
#include "formats/format.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/f16/f16.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

static void decode(const std::byte* blocks, float* __restrict values, std::int64_t count) noexcept {
    std::int64_t i = 0;
#if defined(__x86_64__)
    // The conversion instruction of F16C; it makes signalling NaNs quiet, which the bits of f16_to_f32 do not.
    if constexpr (cpu::TAILOR_ISA::lanes > 4)
        for (; i + cpu::TAILOR_ISA::lanes <= count; i += cpu::TAILOR_ISA::lanes)
            cpu::TAILOR_ISA::store(values + i, cpu::TAILOR_ISA::load_halves(blocks + 2 * i));
#endif
    for (; i < count; ++i) values[i] = load_f16(blocks + 2 * i);
}

/// `lanes` numbers within what is finite, or NaN, which stays the one it was and becomes quiet: as f32_to_f16.
template <int width>
[[gnu::always_inline]] inline void store_halves(std::byte* to, const cpu::TAILOR_ISA::Vector& x) noexcept {
#if defined(__x86_64__)
    if constexpr (width == 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtps_ph(0xFFFF, _mm512_loadu_ps(&x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    else _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(_mm256_loadu_ps(reinterpret_cast<const float*>(&x)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
}

static void encode(const float* values, const float*, std::byte* blocks, std::int64_t count) noexcept {
    using namespace cpu::TAILOR_ISA;
    std::int64_t i = 0;
#if defined(__x86_64__)
    if constexpr (lanes > 4)
        for (; i + lanes <= count; i += lanes) {
            const Vector x = load(values + i), most = broadcast(f16_largest);
            store_halves<lanes>(blocks + 2 * i, x > most ? most : x < -most ? -most : x);
        }
#endif
    for (; i < count; ++i) store_u16(blocks + 2 * i, f32_to_finite_f16(values[i]));
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

using Encode = void (*)(const float*, const float*, std::byte*, std::int64_t) noexcept;
static constexpr cpu::PerIsa<Encode> encode_at = TAILOR_EACH_ISA(encode);

static void encode_here(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    fastest(encode_at)(values, importance, blocks, count);
}

extern const Format f16 = {
    .name = "f16",
    .doc = "IEEE 16-bit floating point: 11 significant bits, largest value 65504",
    .values_per_block = 1,
    .bytes_per_block = 2,
    .gguf_type = 1,
    .gguf_file_type = 1,
    .facts = {.gaussian_relative_rmse = 0.000208},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode_here,
};

}  // namespace tailor::formats::entries
#endif
