// tq2_0: blocks of 256 ternary values, x = d * (q - 1) with d in f16 and q in 0..2 in two bits. For models trained ternary.
//
// Layout of a block (66 bytes): 64 bytes of codes, d. Each half of 128 values has 32 bytes: value 32 k + i of the half is in
// bits 2k and 2k + 1 of byte i.
#include "formats/format.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/tq2_0/tq2_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 256, blocks += 66, values += 256) {
        const float d = load_f16(blocks + 64);
        for (int half = 0; half < 2; ++half)
            for (int part = 0; part < 2; ++part) {
                const Codes packed = load_codes(blocks + 32 * half + 16 * part);
                for (int k = 0; k < 4; ++k)
                    scale_sixteen((SignedCodes)(take_bits(packed, 2 * k, 3) - 1), d, values + 128 * half + 32 * k + 16 * part);
            }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    for (int half = 0; half < 2; ++half)
        for (int k = 0; k < 32; ++k) {
            const std::uint8_t* const c = codes + 128 * half + k;
            bytes_of(block)[32 * half + k] = static_cast<std::uint8_t>(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
        }
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 256, blocks += 66) {
        std::int8_t numbers[256];
        store_u16(blocks + 64, search_ternary(values + i, importance ? importance + i : nullptr, numbers));
        std::uint8_t codes[256];
        for (int k = 0; k < 256; ++k) codes[k] = static_cast<std::uint8_t>(numbers[k] + 1);
        join(codes, blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block + 64);
    for (int half = 0; half < 2; ++half) split_pairs<32>(bytes_of(block + 32 * half), out.codes + 128 * half);
}

static constexpr IntegerForm integers{.bits = 2, .zero = 1, .levels = 3, .group = 256, .split = &split, .join = &join, .scale_at = 64};

extern const Format tq2_0 = {
    .name = "tq2_0",
    .doc = "ternary in 2 bits: blocks of 256 with one f16 scale",
    .values_per_block = 256,
    .bytes_per_block = 66,
    .gguf_type = 35,
    .gguf_file_type = 37,
    .facts = {.gaussian_relative_rmse = 0.435},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
