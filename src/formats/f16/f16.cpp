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

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float*, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) store_u16(blocks + 2 * i, f32_to_finite_f16(values[i]));
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
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
