// Reading memory and f32 multiply-adds, once per instruction-set level; see machine_kernels.h.
//
// Reading: four streams a quarter of the range apart, 128 bytes of each in turn. One stream per thread leaves hardware
// prefetchers idle at every page end; four keep several pages open. The exclusive or costs one operation per load and
// never slows on special values, as adding floats could.
//
// Multiply-adds: 12 independent accumulators. A multiply-add has a latency of 4 or 5 cycles on two units, so 8 to 10
// must be in flight; 12 with two constants still fit the 16 registers of base and avx2. The same for products of 16-bit words.
#include "measure/machine_kernels.h"

#include "cpu/simd.h"

#define TAILOR_THIS_FILE "measure/machine_kernels.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::measure::TAILOR_ISA {

using namespace cpu::TAILOR_ISA;

constexpr int accumulators = 12;

static std::uint32_t read(const std::byte* data, std::int64_t bytes) noexcept {
    constexpr int streams = 4, piece = 128, per_piece = piece / static_cast<int>(sizeof(Integers));
    const std::int64_t stream_bytes = bytes / streams;
    Integers sums[streams] = {};
    for (std::int64_t offset = 0; offset < stream_bytes; offset += piece)
        for (int s = 0; s < streams; ++s)
            for (int v = 0; v < per_piece; ++v) {
                Integers loaded;
                std::memcpy(&loaded, data + s * stream_bytes + offset + v * static_cast<int>(sizeof(Integers)), sizeof loaded);
                sums[s] ^= loaded;
            }
    const Integers all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    std::uint32_t words[lanes], result = 0;
    std::memcpy(words, &all, sizeof words);
    for (const std::uint32_t word : words) result ^= word;
    return result;
}

static float multiply_add(std::int64_t rounds) noexcept {
    // Read through volatile so that nothing is known at compile time; 0.999 and 0.001 keep the values near 1.
    volatile float factor_source = 0.999f, summand_source = 0.001f;
    const Vector factor = broadcast(factor_source), summand = broadcast(summand_source);
    Vector sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = broadcast(1.0f + 0.01f * static_cast<float>(i));
    for (std::int64_t r = 0; r < rounds; ++r) {
        for (int i = 0; i < accumulators; ++i) sums[i] = fused(sums[i], factor, summand);
    }
    Vector total = sums[0];
    for (int i = 1; i < accumulators; ++i) total += sums[i];
    return sum(total);
}

/// Makes the compiler forget what it knows of a register, or it would multiply once and only add.
[[gnu::always_inline]] static inline void forget(Bytes& value) noexcept {
#if defined(__aarch64__)
    asm("" : "+w"(value));
#else
    asm("" : "+x"(value));
#endif
}

// Each lane of accumulator i starts at i; a round adds two products of 1.
static float word_products(std::int64_t rounds) noexcept {
    volatile std::int16_t one = 1;
    Bytes a = (Bytes)(Words{} + one);
    const auto b = (Integers)(Words{} + one);
    Integers sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = Integers{} + i;
    for (std::int64_t r = 0; r < rounds; ++r)
        for (int i = 0; i < accumulators; ++i) {
            forget(a);
            sums[i] = dot_words(sums[i], a, b);
        }
    Integers total = sums[0];
    for (int i = 1; i < accumulators; ++i) total += sums[i];
    return static_cast<float>(total[0]);
}

static double operations_per_round() noexcept { return 2.0 * accumulators * lanes; }

}  // namespace tailor::measure::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::measure {

ReadKernel read_kernel(cpu::Isa level) {
    constexpr cpu::PerIsa<ReadKernel> kernels TAILOR_EACH_ISA(read);
    return kernels.at(level);
}

PeakKernel vector_peak(cpu::Isa level) {
    constexpr cpu::PerIsa<decltype(PeakKernel::run)> kernels TAILOR_EACH_ISA(multiply_add);
    constexpr cpu::PerIsa<double (*)() noexcept> operations TAILOR_EACH_ISA(operations_per_round);
    return {kernels.at(level), operations.at(level)()};
}

PeakKernel vector_int16_peak(cpu::Isa level) {
    constexpr cpu::PerIsa<decltype(PeakKernel::run)> kernels TAILOR_EACH_ISA(word_products);
    return {kernels.at(level), 2 * vector_peak(level).operations};
}

}  // namespace tailor::measure
#endif
