// Sixteen codes at a time: the vocabulary that decoders are written in. Included inside each instruction-set level's namespace
// under that level's target (see cpu/for_each_isa.h), after every other header; hence no include guard and no includes.
//
// `Codes` is sixteen bytes, one register at every level, on which & | + - and comparisons work directly. Widening them to
// floats is one instruction per register of floats. Plain loops over bytes were tried first: GCC 12 vectorizes some of them,
// but stalls on arrays of codes stored in narrower pieces than they are loaded, and takes unrolled ones apart lane by lane
// (q6_k: 2.5 thousand million values a second instead of 13).
//
// Every product here, scale times code, is exact in binary32: an f16 has 11 significant bits, sub-block scales at most 8 and
// codes at most 8, but never more than 24 together. So the order of a product does not matter, and a line scale * code +
// offset is rounded once: every level gives the same bits.

typedef std::uint8_t Codes __attribute__((vector_size(16)));
typedef std::int8_t SignedCodes __attribute__((vector_size(16)));
typedef std::uint16_t CodePairs __attribute__((vector_size(16)));

[[gnu::always_inline]] inline Codes load_codes(const void* at) {
    Codes codes;
    std::memcpy(&codes, at, sizeof codes);
    return codes;
}
/// (code >> shift) & mask. Shifts pairs of bytes, as no instruction set shifts bytes; the mask removes the neighbour's bits.
[[gnu::always_inline]] inline Codes take_bits(Codes codes, int shift, std::uint8_t mask) {
    return (Codes)((CodePairs)codes >> shift) & mask;
}
/// (code << shift) & mask.
[[gnu::always_inline]] inline Codes lift_bits(Codes codes, int shift, std::uint8_t mask) {
    return (Codes)((CodePairs)codes << shift) & mask;
}

/// table[code] for codes below 16.
[[gnu::always_inline]] inline Codes look_up(Codes table, Codes codes) {
#if defined(__x86_64__)
    return (Codes)_mm_shuffle_epi8((__m128i)table, (__m128i)codes);
#elif defined(__aarch64__)
    return (Codes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)codes);
#else
    Codes result;
    for (int i = 0; i < 16; ++i) result[i] = table[codes[i]];
    return result;
#endif
}

/// 255 where the bit of the value is set, else 0: value i has bit i of the 16 bits at `bits`.
[[gnu::always_inline]] inline Codes spread_bits(const std::uint8_t* bits) {
    constexpr Codes which{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
        own{1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const Codes spread = look_up(Codes{bits[0], bits[1]}, which);
    return (Codes)((spread & own) == own);
}
/// 16 where the bit of the value is set, else 0.
[[gnu::always_inline]] inline Codes fifth_bits(const std::uint8_t* bits) { return spread_bits(bits) & 16; }
/// The codes below 128, negative where the bit of the value is set.
[[gnu::always_inline]] inline SignedCodes with_signs(Codes codes, const std::uint8_t* bits) {
    const Codes negative = spread_bits(bits);
    return (SignedCodes)((codes ^ negative) - negative);
}
/// Two patterns of eight bytes, or four of four, side by side.
[[gnu::always_inline]] inline Codes join_patterns(std::uint64_t a, std::uint64_t b) {
    typedef std::uint64_t Pair __attribute__((vector_size(16)));
    return (Codes)Pair{a, b};
}
[[gnu::always_inline]] inline Codes join_patterns(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    typedef std::uint32_t Quad __attribute__((vector_size(16)));
    return (Codes)Quad{a, b, c, d};
}

/// Sixteen codes as floats, in as many registers as the level needs.
struct Sixteen {
    static constexpr int parts = 16 / cpu::TAILOR_ISA::lanes;
    cpu::TAILOR_ISA::Vector part[parts];
};

template <class V>
[[gnu::always_inline]] inline void set_part(Sixteen& numbers, int p, V part) {
    std::memcpy(&numbers.part[p], &part, sizeof part);
}

/// A template so that only the branch of this level is compiled.
template <int width = cpu::TAILOR_ISA::lanes>
[[gnu::always_inline]] inline Sixteen widen(SignedCodes codes) {
    Sixteen result;
#if defined(__x86_64__)
    const __m128i bytes = (__m128i)codes;
    if constexpr (width == 16) {
        // The forms without a mask read an undefined register in GCC 12, which then warns.
        set_part(result, 0, _mm512_maskz_cvtepi32_ps(0xFFFF, _mm512_maskz_cvtepi8_epi32(0xFFFF, bytes)));
    } else if constexpr (width == 8) {
        set_part(result, 0, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
        set_part(result, 1, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))));
    } else {
        set_part(result, 0, _mm_cvtepi32_ps(_mm_cvtepi8_epi32(bytes)));
        set_part(result, 1, _mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_srli_si128(bytes, 4))));
        set_part(result, 2, _mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_srli_si128(bytes, 8))));
        set_part(result, 3, _mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_srli_si128(bytes, 12))));
    }
#else
    for (int i = 0; i < 16; ++i) result.part[i / width][i % width] = static_cast<float>(codes[i]);
#endif
    return result;
}

/// values[i] = scale * codes[i] for sixteen signed codes.
[[gnu::always_inline]] inline void scale_sixteen(SignedCodes codes, float scale, float* values) {
    const Sixteen numbers = widen(codes);
    for (int p = 0; p < Sixteen::parts; ++p) cpu::TAILOR_ISA::store(values + p * cpu::TAILOR_ISA::lanes, numbers.part[p] * scale);
}
/// values[i] = scale * codes[i] + offset for sixteen codes below 128.
[[gnu::always_inline]] inline void scale_sixteen(SignedCodes codes, float scale, float offset, float* values) {
    const Sixteen numbers = widen(codes);
    for (int p = 0; p < Sixteen::parts; ++p)
        cpu::TAILOR_ISA::store(values + p * cpu::TAILOR_ISA::lanes, numbers.part[p] * scale + offset);
}
