// The memory of attention: keys and values in tiles of 64 positions.
//
// A cache is a tensor [sequence, kv head, positions, width] of the session's KV format, its positions rounded up to whole tiles.
// The bytes are those of the format, but within a tile they stand as the products of one query with many keys want them, so
// that nothing is transposed when a token is decoded. A number of key j of the tile and dimension d stands
//     keys, f32 f16 bf16      at [d][j]
//     values, f32 f16 bf16    at [j][d], as in rows
//     keys, q8_0              at [d / 4][j][d % 4], its code + 128; behind all codes the scales at [d / 32][j]
//     values, q8_0            at [j / 4][d][j % 4], its code, signed; then the scales in the same way; they are never negative
//     keys, q4_0              as for q8_0 with the 16 bytes of a block in the place of 32: d and d + 16 share a byte
//     values, q4_0            at [j / 4][16 (d / 32) + d % 16][j % 4], d and d + 16 share a byte; then the scales
// so that four neighbours are the operand of one integer product of bytes. Caches of any other format stand in rows. New
// positions are written one at a time, and a position shares no byte with another: threads may write at once.
#pragma once
#include <algorithm>
#include <vector>

#include "formats/format.h"
#include "ops/op.h"

namespace tailor::ops::attention_kernels {

/// Positions of a tile: four vectors of keys at avx512, whose products with four heads are 16 sums in registers.
inline constexpr std::int64_t tile_keys = 64;

constexpr std::int64_t whole_tiles(std::int64_t positions) { return (positions + tile_keys - 1) / tile_keys * tile_keys; }

/// How a cache stands in memory.
enum class CacheLayout { rows, numbers, bytes, nibbles };

inline CacheLayout layout_of(const core::Tensor& cache) noexcept {
    const formats::Format& format = *cache.format;
    if (format.values_per_block == 1) return CacheLayout::numbers;
    return format.name == "q8_0" ? CacheLayout::bytes : format.name == "q4_0" ? CacheLayout::nibbles : CacheLayout::rows;
}

/// Where the tile that holds `position` begins.
inline std::byte* cache_tile(const core::Tensor& cache, std::int64_t sequence, std::int64_t head, std::int64_t position) noexcept {
    return cache.data + ((sequence * cache.shape[1] + head) * cache.shape[2] + position / tile_keys * tile_keys) * cache.format->row_bytes(cache.shape[3]);
}

/// The scales behind the codes of a tile: f16 [width / 32][64].
inline const std::byte* tile_scales(const std::byte* tile, CacheLayout layout, std::int64_t width) noexcept {
    return tile + tile_keys * width / (layout == CacheLayout::bytes ? 1 : 2);
}

/// Which of the two caches.
enum class Side { keys, values };

/// Writes `x` [width] at a position.
void write_position(const core::Tensor& cache, Side side, std::int64_t sequence, std::int64_t head, std::int64_t position, const float* x) noexcept;
/// Reads what write_position wrote, decoded.
std::vector<double> read_position(const core::Tensor& cache, Side side, std::int64_t sequence, std::int64_t head, std::int64_t position);

/// Copies what stands at position `from` to position `to`, bit by bit.
void move_position(const core::Tensor& cache, Side side, std::int64_t sequence, std::int64_t head, std::int64_t from, std::int64_t to) noexcept;

/// Writes row `r` of the new keys and values of one kv head.
void append_head(const Call& call, std::int64_t r, std::int64_t kv_head) noexcept;
/// Writes all new keys and values, in parallel.
void append(const Call& call) noexcept;

}  // namespace tailor::ops::attention_kernels
