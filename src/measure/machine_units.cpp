// Peaks of the units beyond the SIMD vocabulary: AVX-512 VNNI and BF16, and AMX tiles; see machine_kernels.h.
//
// Each function carries its own target attribute, so nothing else in this file may use these instructions. Vector loops
// have 12 accumulators for the reason given in machine_kernels.cpp. A tile multiplication has a latency of 52 cycles and
// starts every 16, so four accumulators are enough; with two tiles of each operand that is all eight, and the loop loads
// nothing: it measures the unit alone.
#include "measure/machine_kernels.h"

#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tailor::measure {

#if defined(__x86_64__)

namespace {

constexpr int accumulators = 12;

[[gnu::target("avx512f,avx512vnni")]] float int8_dot(std::int64_t rounds) noexcept {
    volatile int source = 0x01010101;
    const __m512i a = _mm512_set1_epi32(source), b = _mm512_set1_epi32(source);
    __m512i sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_set1_epi32(i);
    for (std::int64_t r = 0; r < rounds; ++r)
        for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
    for (int i = 1; i < accumulators; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
    return static_cast<float>(_mm512_cvtsi512_si32(sums[0]));
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] float bf16_dot(std::int64_t rounds) noexcept {
    volatile int source = 0x38003800;  // two bf16 of 2^-15
    const __m512i words = _mm512_set1_epi32(source);
    __m512bh a;
    std::memcpy(&a, &words, sizeof a);
    __m512 sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
    for (std::int64_t r = 0; r < rounds; ++r)
        for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
    for (int i = 1; i < accumulators; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
    return _mm512_cvtss_f32(sums[0]);
}

/// What LDTILECFG reads: palette 1, and the shape of each tile.
struct alignas(64) TileConfiguration {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfiguration) == 64);

struct alignas(64) TileData {
    std::uint32_t words[16][16];
};

// Tiles 0 to 3 are the accumulators, 4 and 5 the left operands, 6 and 7 the right ones.
[[gnu::target("amx-tile")]] void start_tiles(std::uint32_t word) noexcept {
    TileConfiguration configuration;
    for (int tile = 0; tile < 8; ++tile) configuration.row_bytes[tile] = 64, configuration.rows[tile] = 16;
    // GCC 12 declares that LDTILECFG reads 8 bytes and would drop the stores to the others.
    asm volatile("" ::"r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
    TileData data;
    for (auto& row : data.words)
        for (auto& w : row) w = word;
    asm volatile("" ::"r"(&data) : "memory");
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, &data, 64);
    _tile_loadd(5, &data, 64);
    _tile_loadd(6, &data, 64);
    _tile_loadd(7, &data, 64);
}

/// One word of the result, and the tiles given back: a thread that keeps them makes every context switch dearer.
[[gnu::target("amx-tile")]] std::uint32_t finish_tiles() noexcept {
    TileData data;
    std::memset(&data, 0, sizeof data);
    _tile_stored(0, &data, 64);
    asm volatile("" ::"r"(&data) : "memory");
    _tile_release();
    return data.words[0][0];
}

[[gnu::target("amx-tile,amx-bf16")]] float bf16_tiles(std::int64_t rounds) noexcept {
    start_tiles(0x38003800);
    for (std::int64_t r = 0; r < rounds; ++r) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    const std::uint32_t bits = finish_tiles();
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

[[gnu::target("amx-tile,amx-int8")]] float int8_tiles(std::int64_t rounds) noexcept {
    start_tiles(0x01010101);
    for (std::int64_t r = 0; r < rounds; ++r) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    return static_cast<float>(finish_tiles());
}

}  // namespace

PeakKernel vector_int8_peak(cpu::Isa level) {
    if (level < cpu::Isa::avx512) return {};
    return {int8_dot, 2.0 * 64 * accumulators};
}

PeakKernel vector_bf16_peak(cpu::Isa level) {
    if (level < cpu::Isa::avx512 || !cpu::has_avx512_bf16()) return {};
    return {bf16_dot, 2.0 * 32 * accumulators};
}

PeakKernel tile_bf16_peak(cpu::Isa level) {
    if (level < cpu::Isa::amx) return {};
    return {bf16_tiles, 2.0 * 4 * 16 * 16 * 32};
}

PeakKernel tile_int8_peak(cpu::Isa level) {
    if (level < cpu::Isa::amx) return {};
    return {int8_tiles, 2.0 * 4 * 16 * 16 * 64};
}

#else

PeakKernel vector_int8_peak(cpu::Isa) { return {}; }
PeakKernel vector_bf16_peak(cpu::Isa) { return {}; }
PeakKernel tile_bf16_peak(cpu::Isa) { return {}; }
PeakKernel tile_int8_peak(cpu::Isa) { return {}; }

#endif

}  // namespace tailor::measure
