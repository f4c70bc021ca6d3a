// The SIMD vocabulary: one vector of 32-bit floats per level and the few operations kernels are written in.
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
inline constexpr int lanes = 4;
[[gnu::always_inline]] inline Vector fused(Vector a, Vector b, Vector c) {
#if defined(__aarch64__)
    return reinterpret_cast<Vector>(vfmaq_f32(reinterpret_cast<float32x4_t>(c), reinterpret_cast<float32x4_t>(a), reinterpret_cast<float32x4_t>(b)));
#else
    return a * b + c;
#endif
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
inline constexpr int lanes = 8;
[[gnu::always_inline]] inline Vector fused(Vector a, Vector b, Vector c) { return Vector(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c))); }
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
inline constexpr int lanes = 16;
[[gnu::always_inline]] inline Vector fused(Vector a, Vector b, Vector c) { return Vector(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c))); }
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
