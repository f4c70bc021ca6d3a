// How formats of single values stand in memory, and `lanes` of them as floats.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA`; hence no include guard and no includes.

struct Floats {
    static constexpr std::int64_t bytes = 4;
    [[gnu::always_inline]] static inline Vector values(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct Halves {
    static constexpr std::int64_t bytes = 2;
    [[gnu::always_inline]] static inline Vector values(const std::byte* p) { return load_halves(p); }
};
struct UpperHalves {  // bf16: the upper 16 bits of a float
    static constexpr std::int64_t bytes = 2;
    template <class Bits = Integers>  // a template so that only the branch of this level is compiled
    [[gnu::always_inline]] static inline Vector values(const std::byte* p) {
        constexpr int width = sizeof(Bits) / 4;
        Bits bits;
#if defined(__x86_64__)
        // The form without a mask reads an undefined register in GCC 12, which then warns.
        if constexpr (width == 16) bits = (Bits)_mm512_maskz_cvtepu16_epi32(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        else if constexpr (width == 8) bits = (Bits)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        else bits = (Bits)_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
        std::uint16_t halves[width];
        std::memcpy(halves, p, sizeof halves);
        for (int i = 0; i < width; ++i) bits[i] = halves[i];
#endif
        return (Vector)(bits << 16);
    }
};
