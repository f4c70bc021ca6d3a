// nvfp4: blocks of 64 values = 4 sub-blocks of 16, x = s * grid[q] / 2 with a scale s of eight bits per sub-block and q in 0..15:
// 4-bit floats (sign, 2 exponent bits, 1 fraction bit), whose doubled values are 0 1 2 3 4 6 8 12 and their opposites, as in mxfp4.
// s is an E4M3 without a sign: exponent e of 4 bits and fraction m of 3, (1 + m / 8) * 2^(e - 7), or m * 2^-9 for e = 0. It is NaN in
// E4M3 for e = m = 15 and 7; that is never written, and read as 0. NVIDIA, "Introducing NVFP4 for efficient and accurate
// low-precision inference" (2025); E4M3: Micikevicius et al., "FP8 formats for deep learning" (2022), table 1.
//
// The scale ends at 2^-9 and 448, so rows must be of usual size: the format was made to go with one more scale per tensor.
//
// Layout of a block (36 bytes): four bytes s; per sub-block 8 bytes of codes, value i in the low nibble of byte i, value 8 + i in the
// high one.
#include <array>

#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/nvfp4/nvfp4.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

/// s / 2 of every byte: ascending but for the last.
static constexpr std::array<float, 128> half_scales = [] {
    std::array<float, 128> scales{};
    for (int b = 0; b < 127; ++b) {
        const int e = b / 8, m = b % 8;
        scales[static_cast<std::size_t>(b)] = 0x1p-10f * static_cast<float>(e == 0 ? m : (8 + m) << (e - 1));
    }
    return scales;
}();
static constexpr std::int8_t doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    const Codes grid = load_codes(doubled);
    for (; count > 0; count -= 64, blocks += 36) {
        const std::uint8_t* const scales = bytes_of(blocks);
        for (int j = 0; j < 4; ++j, values += 16) {
            std::uint64_t bytes;
            std::memcpy(&bytes, blocks + 4 + 8 * j, sizeof bytes);
            const Codes codes = join_patterns(bytes, bytes >> 4) & 15;
            scale_sixteen((SignedCodes)look_up(grid, codes), half_scales[scales[j] & 127], values);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

// The grid ascending, one entry twice to make sixteen, and the code of each entry.
static constexpr std::int8_t ascending[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 12};
static constexpr std::uint8_t code_of[16] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7, 7};

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{ascending[0], ascending[15], ascending};
    for (std::int64_t i = 0; i < count; i += 64, blocks += 36)
        for (int j = 0; j < 4; ++j) {
            std::int8_t entries[16];
            std::uint8_t codes[16];
            const std::int64_t at = i + 16 * j;
            bytes_of(blocks)[j] = static_cast<std::uint8_t>(
                fastest(search_listed)(grid, base::half_scales.data(), 127, values + at, importance ? importance + at : nullptr, 16, entries));
            for (int k = 0; k < 16; ++k) codes[k] = code_of[entries[k]];
            join_nibbles<8>(codes, bytes_of(blocks + 4 + 8 * j));
        }
}

extern const Format nvfp4 = {
    .name = "nvfp4",
    .doc = "4-bit floating point: blocks of 64 with an 8-bit float as scale of each 16 (E2M1 and E4M3), for rows between 0.02 and 400",
    .values_per_block = 64,
    .bytes_per_block = 36,
    .gguf_type = 40,
    .gguf_file_type = 39,
    .facts = {.gaussian_relative_rmse = 0.0812, .least_usual = 0.05, .most_usual = 500},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
