// Words of two bf16 numbers, as VDPBF16PS multiplies them.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace cpu::TAILOR_ISA` and
// ops/attention/vectors.h; hence no include guard and no includes. Compiled at every level, run where the processor has the
// instructions; they are written in assembly, since the level avx512 does not include them.

/// Words of `low` and `high`, lane by lane, rounded to the nearest bf16, ties to even; numbers too small to be normal become zero.
template <class V>
[[gnu::always_inline]] inline V join_pairs(V low, V high) {
#if defined(__x86_64__)
    if constexpr (sizeof(V) == 64) {
        UnsignedWords order;
        for (int i = 0; i < 2 * lanes; ++i) order[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * lanes);
        V apart, words;
        asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(apart) : "v"(low), "v"(high));
        asm("vpermw %1, %2, %0" : "=v"(words) : "v"(apart), "v"(order));
        return words;
    }
#endif
    return low + high;
}

/// Words of neighbours: those of `first` in the lower half of the lanes, those of `second` in the upper.
template <class V>
[[gnu::always_inline]] inline V join_neighbours(V first, V second) {
    V words = first;
#if defined(__x86_64__)
    if constexpr (sizeof(V) == 64) asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(words) : "v"(first), "v"(second));
#endif
    return words;
}

#include "ops/pair_sums.h"
