// bfloat16: the upper half of a binary32, so its range with 8 significant bits. The operand of AMX and AVX-512 BF16 products.
//
// Relative error of rounding is at most 2^-8. Values that would round to infinity are stored as the largest finite value.
#include "formats/format.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/bf16/bf16.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

static void decode(const std::byte* blocks, float* __restrict values, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) values[i] = bf16_to_f32(load_u16(blocks + 2 * i));
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float*, std::byte* blocks, std::int64_t count) noexcept {
    constexpr float largest = 0x1.FEp127f;
    for (std::int64_t i = 0; i < count; ++i) {
        const float value = values[i] > largest ? largest : values[i] < -largest ? -largest : values[i];
        store_u16(blocks + 2 * i, f32_to_bf16(value));
    }
}

extern const Format bf16 = {
    .name = "bf16",
    .doc = "bfloat16: the range of f32 with 8 significant bits",
    .values_per_block = 1,
    .bytes_per_block = 2,
    .gguf_type = 30,
    .gguf_file_type = 32,
    .facts = {.gaussian_relative_rmse = 0.00166},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
