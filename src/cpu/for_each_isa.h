// Compiles one source file once per instruction-set level. All four macros of Tailor are defined or named here.
//
//     #include ...                                    // every other header first: they must not see a wider target
//     #define TAILOR_THIS_FILE "ops/softmax.cpp"
//     #include "cpu/for_each_isa.h"                   // includes this same file again, under a wider target
//     namespace tailor::ops::TAILOR_ISA { ... }       // compiled for every level; TAILOR_ISA is avx2, avx512, base
//     #if defined(TAILOR_ONCE)                        // compiled once, after all levels
//     ... TAILOR_EACH_ISA(kernel) ...                 // a cpu::PerIsa of &base::kernel, &avx2::kernel, &avx512::kernel
//     #endif
//
// A target pragma reaches only the functions that follow it, so shared inline functions of the standard library are never
// compiled with wide instructions; a -m flag for the whole file would do that, and the linker might then keep the wide
// copy for every caller. Write vector code in named functions: a lambda does not take the pragma under every compiler.
// This header has no include guard on purpose.
#if !defined(TAILOR_ISA)

#if defined(__x86_64__)

#define TAILOR_ISA avx2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2")
#endif
#include TAILOR_THIS_FILE
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef TAILOR_ISA

// GCC 12 takes some processors for ones where 256-bit vectors are better; measured here, 512 is.
#define TAILOR_ISA avx512
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#endif
#include TAILOR_THIS_FILE
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef TAILOR_ISA

#define TAILOR_EACH_ISA(function) {{&base::function, &avx2::function, &avx512::function, nullptr}}
#else
#define TAILOR_EACH_ISA(function) {{&base::function, nullptr, nullptr, nullptr}}
#endif

#define TAILOR_ISA base
#define TAILOR_ONCE
#endif
