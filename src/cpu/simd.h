// The SIMD vocabulary: one vector of 32-bit floats per level and the few operations kernels are written in.
//
// Integer kernels use Bytes, the same register as lanes x 4 bytes: lane i holds four codes of row i.
//
// cpu::base, cpu::avx2 and cpu::avx512 each hold the same names, so a kernel compiled once per level (for_each_isa.h)
// writes `using namespace cpu::TAILOR_ISA;` and the algorithm once. `Vector` is a compiler vector type: + - * / and
// comparisons work on it directly. `fused(a, b, c)` is a * b + c: one rounding at avx2 and avx512, two at base.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace tailor::cpu {

namespace base {
typedef float Vector __attribute__((vector_size(16)));
typedef std::int32_t Integers __attribute__((vector_size(16)));
typedef std::uint32_t Unsigned __attribute__((vector_size(16)));
typedef std::int16_t Words __attribute__((vector_size(16)));
typedef std::uint16_t UnsignedWords __attribute__((vector_size(16)));
typedef std::uint8_t Bytes __attribute__((vector_size(16)));
inline constexpr int lanes = 4;
[[gnu::always_inline]] inline Vector fused(Vector a, Vector b, Vector c) {
#if defined(__aarch64__)
    return reinterpret_cast<Vector>(vfmaq_f32(reinterpret_cast<float32x4_t>(c), reinterpret_cast<float32x4_t>(a), reinterpret_cast<float32x4_t>(b)));
#else
    return a * b + c;
#endif
}
// load_halves: `lanes` finite f16 numbers as floats. look_up: table[index] per byte, in each 16 bytes a table of its own.
// load_signed_bytes, load_unsigned_bytes: `lanes` bytes as integers; GCC 12 takes the generic conversion of 16 bytes apart.
// dot_words: sums[i] + the two products of the signed 16-bit halves of lane i.

[[gnu::always_inline]] inline Vector load_halves(const void* p) {
    std::uint16_t halves[lanes];
    std::memcpy(halves, p, sizeof halves);
    Integers bits{halves[0], halves[1], halves[2], halves[3]};
    const Integers magnitude = (bits & 0x7FFF) << 13, sign = (bits & 0x8000) << 16;
    Vector value;
    std::memcpy(&value, &magnitude, sizeof value);
    value = value * 0x1p112f;  // exact, subnormals included
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
[[gnu::always_inline]] inline Integers load_signed_bytes(const void* p) {
    std::int8_t b[lanes];
    std::memcpy(b, p, sizeof b);
    return Integers{b[0], b[1], b[2], b[3]};
}
[[gnu::always_inline]] inline Integers load_unsigned_bytes(const void* p) {
    std::uint8_t b[lanes];
    std::memcpy(b, p, sizeof b);
    return Integers{b[0], b[1], b[2], b[3]};
}
[[gnu::always_inline]] inline Bytes look_up(Bytes table, Bytes index) {
#if defined(__x86_64__)
    return (Bytes)_mm_shuffle_epi8((__m128i)table, (__m128i)index);
#elif defined(__aarch64__)
    return (Bytes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)index);
#else
    Bytes result;
    for (int i = 0; i < 16; ++i) result[i] = table[index[i]];
    return result;
#endif
}
[[gnu::always_inline]] inline Integers dot_words(Integers sums, Bytes a, Integers b) {
#if defined(__x86_64__)
    return sums + (Integers)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    const int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
    return sums + (Integers)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
#else
    const auto x = (Words)a, y = (Words)b;
    for (int i = 0; i < lanes; ++i) sums[i] += x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
    return sums;
#endif
}
// add_pairs: sums + codes times signed bytes, two products added at a time, where sums are two 16-bit words per lane, modulo 2^16. Codes are unsigned and at
// most 129, so that two products fit. The addition is assembly: GCC 12 would put the products of a whole register tile before
// their additions and then run short of registers.
[[gnu::always_inline]] inline Integers add_pairs(Integers sums, Bytes codes, Integers digits) {
#if defined(__x86_64__)
    asm("paddw %1, %0" : "+x"(sums) : "x"((Words)_mm_maddubs_epi16((__m128i)codes, (__m128i)digits)));
    return sums;
#else
    const Words d = (Words)digits, even = (Words)((UnsignedWords)codes & 255), odd = (Words)((UnsignedWords)codes >> 8);
    return (Integers)((Words)sums + even * ((Words)((UnsignedWords)d << 8) >> 8) + odd * (d >> 8));
#endif
}
/// sums[i] + the four products of unsigned codes and signed bytes of lane i. One instruction at avx512; here exact but slow.
[[gnu::always_inline]] inline Integers dot_bytes(Integers sums, Bytes codes, Integers digits) {
    const Words even = (Words)((Unsigned)codes & 0x00FF00FFu), odd = (Words)((Unsigned)codes >> 8 & 0x00FF00FFu);
    const Words d = (Words)digits;
    return dot_words(dot_words(sums, (Bytes)even, (Integers)((Words)(d << 8) >> 8)), (Bytes)odd, (Integers)(d >> 8));
}
}  // namespace base

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2")
#endif
namespace avx2 {
typedef float Vector __attribute__((vector_size(32)));
typedef std::int32_t Integers __attribute__((vector_size(32)));
typedef std::uint32_t Unsigned __attribute__((vector_size(32)));
typedef std::int16_t Words __attribute__((vector_size(32)));
typedef std::uint16_t UnsignedWords __attribute__((vector_size(32)));
typedef std::uint8_t Bytes __attribute__((vector_size(32)));
inline constexpr int lanes = 8;
[[gnu::always_inline]] inline Vector fused(Vector a, Vector b, Vector c) { return Vector(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c))); }
[[gnu::always_inline]] inline Vector load_halves(const void* p) { return Vector(_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)))); }
[[gnu::always_inline]] inline Integers load_signed_bytes(const void* p) {
    return (Integers)_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
}
[[gnu::always_inline]] inline Integers load_unsigned_bytes(const void* p) {
    return (Integers)_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
}
[[gnu::always_inline]] inline Bytes look_up(Bytes table, Bytes index) { return (Bytes)_mm256_shuffle_epi8((__m256i)table, (__m256i)index); }
[[gnu::always_inline]] inline Integers dot_words(Integers sums, Bytes a, Integers b) {
    return sums + (Integers)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
[[gnu::always_inline]] inline Integers add_pairs(Integers sums, Bytes codes, Integers digits) {
    asm("vpaddw %1, %0, %0" : "+x"(sums) : "x"((Words)_mm256_maddubs_epi16((__m256i)codes, (__m256i)digits)));
    return sums;
}
/// sums[i] + the four products of unsigned codes and signed bytes of lane i. One instruction at avx512; here exact but slow.
[[gnu::always_inline]] inline Integers dot_bytes(Integers sums, Bytes codes, Integers digits) {
    const Words even = (Words)((Unsigned)codes & 0x00FF00FFu), odd = (Words)((Unsigned)codes >> 8 & 0x00FF00FFu);
    const Words d = (Words)digits;
    return dot_words(dot_words(sums, (Bytes)even, (Integers)((Words)(d << 8) >> 8)), (Bytes)odd, (Integers)(d >> 8));
}
#include "cpu/simd_common.h"
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#endif
namespace avx512 {
typedef float Vector __attribute__((vector_size(64)));
typedef std::int32_t Integers __attribute__((vector_size(64)));
typedef std::uint32_t Unsigned __attribute__((vector_size(64)));
typedef std::int16_t Words __attribute__((vector_size(64)));
typedef std::uint16_t UnsignedWords __attribute__((vector_size(64)));
typedef std::uint8_t Bytes __attribute__((vector_size(64)));
inline constexpr int lanes = 16;
[[gnu::always_inline]] inline Vector fused(Vector a, Vector b, Vector c) { return Vector(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c))); }
[[gnu::always_inline]] inline Vector load_halves(const void* p) {
    return Vector(_mm512_maskz_cvtph_ps(0xFFFF, _mm256_loadu_si256(static_cast<const __m256i*>(p))));
}
// The forms without a mask read an undefined register in GCC 12, which then warns.
[[gnu::always_inline]] inline Integers load_signed_bytes(const void* p) {
    return (Integers)_mm512_maskz_cvtepi8_epi32(0xFFFF, _mm_loadu_si128(static_cast<const __m128i*>(p)));
}
[[gnu::always_inline]] inline Integers load_unsigned_bytes(const void* p) {
    return (Integers)_mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(static_cast<const __m128i*>(p)));
}
[[gnu::always_inline]] inline Bytes look_up(Bytes table, Bytes index) { return (Bytes)_mm512_shuffle_epi8((__m512i)table, (__m512i)index); }
[[gnu::always_inline]] inline Integers dot_words(Integers sums, Bytes a, Integers b) {
    return (Integers)_mm512_dpwssd_epi32((__m512i)sums, (__m512i)a, (__m512i)b);
}
[[gnu::always_inline]] inline Integers add_pairs(Integers sums, Bytes codes, Integers digits) {
    return (Integers)((UnsignedWords)sums + (UnsignedWords)_mm512_maddubs_epi16((__m512i)codes, (__m512i)digits));
}
[[gnu::always_inline]] inline Integers dot_bytes(Integers sums, Bytes codes, Integers digits) {
    return (Integers)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)codes, (__m512i)digits);
}
#include "cpu/simd_common.h"
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace base {
#include "cpu/simd_common.h"
}

}  // namespace tailor::cpu
