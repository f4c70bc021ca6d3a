// Sums of products of words of two bf16 numbers (VDPBF16PS).
//
// Included by pairs.h and recurrence_pairs.h inside each instruction-set level's namespace under that level's target; hence no include
// guard and no includes. Compiled at every level, run where the processor has the instruction.

/// sums + both products of the words of `a` and `b`. The type is a parameter so that only the level that has it compiles the instruction.
template <class V>
[[gnu::always_inline]] inline V add_pair_products(V sums, V a, V b) {
#if defined(__x86_64__)
    if constexpr (sizeof(V) == 64) asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
#endif
    return sums;
}

/// One word in every lane.
[[gnu::always_inline]] inline Vector broadcast_bits(const float* word) {
    const Integers bits = broadcast_word(word);
    Vector v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
}
