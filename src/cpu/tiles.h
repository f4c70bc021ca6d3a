// Tiles: eight registers of 16 rows x 64 bytes that multiply matrices, as Intel's AMX has them.
//
// A tile holds 16 x 16 f32 sums or 16 x 32 bf16 values, always 1 KB in a row here. The one product is
//     sums[m][n] += sum over p < 16 of  a[m][2 p] * b[p][2 n]  +  a[m][2 p + 1] * b[p][2 n + 1]
// so `a` is sixteen rows of 32 consecutive values and `b` keeps pairs of values together: its row p has values 2 p and
// 2 p + 1 of each of sixteen columns. bf16 is the upper half of an f32: its range with 8 significant bits; sums are f32.
//
// Two classes have the same members. AmxTiles is the processor's; PlainTiles does the same in memory, so that what is
// written for tiles is tested where there are none. The rounding is that of the manual (Intel, Software Developer's Manual,
// volume 2, TDPBF16PS): even and odd products are summed apart, then together, then onto the old sum; numbers too small to
// be normal count as zero. AmxTiles is written as assembly: the compilers' intrinsics take only literal tile numbers, and GCC 12
// believes that its _tile_loadconfig reads 8 of the 64 bytes and drops the stores to the others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace tailor::cpu {

inline constexpr std::int64_t tile_rows = 16;
/// f32 values of a row of sums, and columns of `b`.
inline constexpr std::int64_t tile_columns = 16;
/// bf16 values of a row of `a`: what one product sums over.
inline constexpr std::int64_t tile_depth = 32;
inline constexpr std::int64_t tile_bytes = 1024;

/// The tiles of any machine. A tile is 1 KB at `p` with any alignment.
class PlainTiles {
  public:
    template <int tile>
    void zero() { std::memset(tiles_[tile], 0, tile_bytes); }
    template <int tile>
    void load(const std::byte* p) { std::memcpy(tiles_[tile], p, tile_bytes); }
    template <int tile>
    void store(std::byte* p) const { std::memcpy(p, tiles_[tile], tile_bytes); }

    /// sums += a b, as above.
    template <int sums, int a, int b>
    void multiply() { add_product(tiles_[sums], tiles_[a], tiles_[b]); }

  private:
    using Tile = std::uint32_t[tile_rows][tile_columns];

    // Not inlined: kernels have many products, which are for tests here.
    [[gnu::noinline]] static void add_product(Tile& sums, const Tile& a, const Tile& b) {
        for (std::int64_t m = 0; m < tile_rows; ++m) {
            float even[tile_columns] = {}, odd[tile_columns] = {}, old[tile_columns];
            for (std::int64_t p = 0; p < tile_depth / 2; ++p) {
                const std::uint32_t left = a[m][p];
                for (std::int64_t n = 0; n < tile_columns; ++n) {
                    even[n] = flush(even[n] + value(left << 16) * value(b[p][n] << 16));
                    odd[n] = flush(odd[n] + value(left & high) * value(b[p][n] & high));
                }
            }
            std::memcpy(old, sums[m], sizeof old);
            for (std::int64_t n = 0; n < tile_columns; ++n) old[n] = flush(old[n] + flush(even[n] + odd[n]));
            std::memcpy(sums[m], old, sizeof old);
        }
    }

    static constexpr std::uint32_t high = 0xFFFF0000u;
    static float flush(float x) {
        const float least = std::numeric_limits<float>::min();
        return x > -least && x < least ? 0.0f : x;
    }
    static float value(std::uint32_t bits) {
        float x;
        std::memcpy(&x, &bits, sizeof x);
        return flush(x);
    }
    Tile tiles_[8];
};

#if defined(__x86_64__)
/// The processor's tiles, of this thread, from construction to destruction; at level amx only. Giving them back matters: a
/// thread that keeps them makes every context switch dearer.
class AmxTiles {
  public:
    [[gnu::always_inline]] AmxTiles() {
        Configuration configuration;
        for (int tile = 0; tile < 8; ++tile) configuration.row_bytes[tile] = 64, configuration.rows[tile] = tile_rows;
        asm volatile("ldtilecfg %0" : : "m"(configuration));
    }
    [[gnu::always_inline]] ~AmxTiles() { asm volatile("tilerelease"); }
    AmxTiles(const AmxTiles&) = delete;
    AmxTiles& operator=(const AmxTiles&) = delete;

    // %c prints a number without the sign of a constant.
    template <int tile>
    [[gnu::always_inline]] void zero() { asm volatile("tilezero %%tmm%c0" : : "i"(tile)); }
    template <int tile>
    [[gnu::always_inline]] void load(const std::byte* p) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(row_bytes), "i"(tile) : "memory");
    }
    template <int tile>
    [[gnu::always_inline]] void store(std::byte* p) const {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(row_bytes), "i"(tile) : "memory");
    }
    template <int sums, int a, int b>
    [[gnu::always_inline]] void multiply() { asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b)); }

  private:
    /// What LDTILECFG reads: palette 1, and the shape of each tile.
    struct alignas(64) Configuration {
        std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
        std::uint16_t row_bytes[16] = {};
        std::uint8_t rows[16] = {};
    };
    static_assert(sizeof(Configuration) == 64);
    static constexpr std::int64_t row_bytes = 64;
};
#endif

}  // namespace tailor::cpu
