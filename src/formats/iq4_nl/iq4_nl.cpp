// iq4_nl: blocks of 32 values, x = d * grid[q] with d in f16 and q in 0..15 into a fixed uneven grid (nonlinear_grid.h).
//
// Layout of a block (18 bytes): d, then 16 bytes of codes as in q4_0. The same size as q4_0 with less error on bell curves;
// d may be negative, since the grid is not symmetric.
#include "formats/format.h"
#include "formats/nonlinear_grid.h"
#include "formats/panels.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/iq4_nl/iq4_nl.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    const Codes grid = load_codes(nonlinear_grid);
    for (; count > 0; count -= 32, blocks += 18, values += 32) {
        const float d = load_f16(blocks);
        const Codes both = load_codes(blocks + 2);
        scale_sixteen((SignedCodes)look_up(grid, both & 15), d, values);
        scale_sixteen((SignedCodes)look_up(grid, take_bits(both, 4, 15)), d, values + 16);
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void join(const std::uint8_t* codes, std::byte* block) noexcept {
    join_nibbles<16>(codes, bytes_of(block + 2));
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    constexpr Grid grid{nonlinear_grid[0], nonlinear_grid[15], nonlinear_grid};
    for (std::int64_t i = 0; i < count; i += 32, blocks += 18) {
        std::int8_t codes[32];
        store_u16(blocks, fastest(search_scale)(grid, values + i, importance ? importance + i : nullptr, 32, codes));
        join(reinterpret_cast<const std::uint8_t*>(codes), blocks);
    }
}

static void split(const std::byte* block, BlockIntegers& out) noexcept {
    out.scale = load_u16(block);
    split_nibbles<16>(bytes_of(block + 2), out.codes);
}

static constexpr IntegerForm integers{.table = nonlinear_grid, .split = &split, .join = &join, .scale_at = 0};

extern const Format iq4_nl = {
    .name = "iq4_nl",
    .doc = "4 bits into an uneven grid: blocks of 32 with one f16 scale",
    .values_per_block = 32,
    .bytes_per_block = 18,
    .gguf_type = 20,
    .gguf_file_type = 25,
    .facts = {.gaussian_relative_rmse = 0.0733},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
    .integers = &integers,
};

}  // namespace tailor::formats::entries
#endif
