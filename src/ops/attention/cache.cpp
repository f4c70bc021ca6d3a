// Writing and reading single positions of the cache; see cache.h.
//
// Codes of q8_0 come from plain rounding, the largest of 32 values being 127: what the search of the format's own encoder
// gains, 12 % of an error of half a percent, is not worth 0.1 ms per prompt token here. Codes of q4_0 come from three scales that are
// tried, which is within 1 % of the error of the encoder's search in a twentieth of its time. All others are encoded by their format.
#include "ops/attention/cache.h"

#include <cmath>
#include <cstring>
#include <type_traits>

#include "cpu/simd.h"
#include "formats/half.h"
#include "ops/attention/kernels.h"

namespace tailor::ops::attention_kernels {

// Positions of one head per unit of work: few enough that the rows of a step of many sequences are shared, and enough that the
// positions which share a line of the first cache (16 keys of 4 bytes) mostly go to one thread.
constexpr std::int64_t rows_per_chunk_of_head = 16;
constexpr std::int64_t most_row_bytes = most_head_dim * 4;

static void round_to_bytes(const float* x, std::byte* blocks, std::int64_t count) noexcept {
    for (; count > 0; count -= 32, x += 32, blocks += 34) {
        using namespace cpu::base;
        Vector most = {};
        for (int i = 0; i < 32; i += lanes) most = maximum(maximum(most, load(x + i)), -load(x + i));
        const std::uint16_t half = formats::f32_to_finite_f16(largest(most) / 127);
        const float scale = formats::f16_to_f32(half), factor = scale > 0 ? 1 / scale : 0;
        std::memcpy(blocks, &half, 2);
        for (int i = 0; i < 32; ++i) blocks[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(std::nearbyint(std::clamp(x[i] * factor, -127.0f, 127.0f))));
    }
}

[[gnu::always_inline]] static inline cpu::base::Vector nearest_code(cpu::base::Vector x) noexcept {
    using namespace cpu::base;
    return maximum(minimum(to_floats(nearest(x)), broadcast(7.0f)), broadcast(-8.0f));
}

/// Blocks of q4_0. The value of the largest magnitude becomes -8.6, -8 or -7.4 before rounding; then the scale is the best one for the codes.
static void round_to_nibbles(const float* x, std::byte* blocks, std::int64_t count) noexcept {
    using namespace cpu::base;
    for (; count > 0; count -= 32, x += 32, blocks += 18) {
        Vector most = {}, least = {};
        for (int i = 0; i < 32; i += lanes) most = maximum(load(x + i), most), least = minimum(load(x + i), least);
        const float above = largest(most), below = largest(-least), extreme = above > below ? above : -below;
        float best_gain = 0, best_factor = 0, best_scale = 0;
        for (const float target : {-8.6f, -8.0f, -7.4f}) {
            const float factor = extreme != 0 ? target / extreme : 0;
            Vector products = {}, squares = {};
            for (int i = 0; i < 32; i += lanes) {
                const Vector code = nearest_code(load(x + i) * factor);
                products += code * load(x + i), squares += code * code;
            }
            // With the best scale, p / s, the sum of squared errors is that of the values less p^2 / s.
            const float p = sum(products), s = sum(squares), gain = s > 0 ? p * p / s : 0;
            if (gain > best_gain) best_gain = gain, best_factor = factor, best_scale = p / s;
        }
        const std::uint16_t half = formats::f32_to_finite_f16(best_scale);
        std::memcpy(blocks, &half, 2);
        for (int i = 0; i < 16; i += lanes) {
            float codes[lanes];
            store(codes, nearest_code(load(x + i) * best_factor) + 8 + (nearest_code(load(x + 16 + i) * best_factor) + 8) * 16);
            for (int l = 0; l < lanes; ++l) blocks[2 + i + l] = static_cast<std::byte>(static_cast<std::int32_t>(codes[l]));
        }
    }
}

/// Offset of byte `i` of the codes of block `b` of key (or value) `j` in its tile; blocks have `bytes` bytes of codes.
static std::int64_t place_of(Side side, std::int64_t bytes, std::int64_t width, std::int64_t b, std::int64_t i, std::int64_t j) {
    if (side == Side::keys) return ((b * bytes + i) / 4 * tile_keys + j) * 4 + i % 4;
    return (j / 4 * (width / 32 * bytes) + b * bytes + i) * 4 + j % 4;
}

/// Blocks of `Bytes` bytes of codes behind a scale, to where place_of has them: fours of a key's codes stay together, a value's do not.
template <int Bytes>
static void scatter_codes(Side side, const std::byte* row, std::int64_t width, std::int64_t j, std::byte* tile) noexcept {
    // Keys of q8_0 are stored with an offset, values signed.
    constexpr std::uint32_t flip = Bytes == 32 ? 0x80808080 : 0;
    std::byte* const scales = tile + width / 32 * Bytes * tile_keys;
    for (std::int64_t b = 0; b < width / 32; ++b, row += Bytes + 2) {
        std::byte* const to = tile + place_of(side, Bytes, width, b, 0, j);
        for (int i = 0; i < Bytes && side == Side::values; ++i) to[4 * i] = row[2 + i];
        for (int i = 0; i < Bytes && side == Side::keys; i += 4) {
            std::uint32_t four;
            std::memcpy(&four, row + 2 + i, 4);
            four ^= flip;
            std::memcpy(to + i * tile_keys, &four, 4);
        }
        std::memcpy(scales + (b * tile_keys + j) * 2, row, 2);
    }
}

void write_position(const core::Tensor& cache, Side side, std::int64_t sequence, std::int64_t head, std::int64_t position, const float* x) noexcept {
    const std::int64_t width = cache.shape[3], row_bytes = cache.format->row_bytes(width), j = position % tile_keys;
    const CacheLayout layout = layout_of(cache);
    std::byte* const tile = cache_tile(cache, sequence, head, position);
    if (layout == CacheLayout::rows || (layout == CacheLayout::numbers && side == Side::values)) return cache.format->encode(x, nullptr, tile + j * row_bytes, width);
    std::byte row[most_row_bytes];
    if (layout == CacheLayout::bytes) return round_to_bytes(x, row, width), scatter_codes<32>(side, row, width, j, tile);
    if (layout == CacheLayout::nibbles) return round_to_nibbles(x, row, width), scatter_codes<16>(side, row, width, j, tile);
    cache.format->encode(x, nullptr, row, width);
    // Each number of a key goes to the row of its dimension. A size that the compiler knows makes the copy one instruction.
    const auto scatter = [&](auto bytes) {
        for (std::int64_t d = 0; d < width; ++d) std::memcpy(tile + (d * tile_keys + j) * bytes, row + d * bytes, static_cast<std::size_t>(bytes));
    };
    if (row_bytes == 2 * width) return scatter(std::integral_constant<std::int64_t, 2>());
    if (row_bytes == 4 * width) return scatter(std::integral_constant<std::int64_t, 4>());
    scatter(row_bytes / width);
}

std::vector<double> read_position(const core::Tensor& cache, Side side, std::int64_t sequence, std::int64_t head, std::int64_t position) {
    const std::int64_t width = cache.shape[3], row_bytes = cache.format->row_bytes(width), j = position % tile_keys;
    const CacheLayout layout = layout_of(cache);
    const std::byte* const tile = cache_tile(cache, sequence, head, position);
    std::vector<std::byte> row(static_cast<std::size_t>(row_bytes));
    if (layout == CacheLayout::rows || (layout == CacheLayout::numbers && side == Side::values)) {
        std::memcpy(row.data(), tile + j * row_bytes, row.size());
    } else if (layout == CacheLayout::numbers) {
        const std::int64_t bytes = row_bytes / width;
        for (std::int64_t d = 0; d < width; ++d) std::memcpy(row.data() + d * bytes, tile + (d * tile_keys + j) * bytes, static_cast<std::size_t>(bytes));
    } else {
        const std::int64_t bytes = layout == CacheLayout::bytes ? 32 : 16;
        const std::byte flip = layout == CacheLayout::bytes && side == Side::keys ? std::byte{0x80} : std::byte{0};
        for (std::int64_t b = 0; b < width / 32; ++b) {
            std::byte* const block = row.data() + b * (bytes + 2);
            for (std::int64_t i = 0; i < bytes; ++i) block[2 + i] = tile[place_of(side, bytes, width, b, i, j)] ^ flip;
            std::memcpy(block, tile + width * bytes / 32 * tile_keys + (b * tile_keys + j) * 2, 2);
        }
    }
    std::vector<float> numbers(static_cast<std::size_t>(width));
    cache.format->decode.at(cpu::Isa::base)(row.data(), numbers.data(), width);
    return {numbers.begin(), numbers.end()};
}

void move_position(const core::Tensor& cache, Side side, std::int64_t sequence, std::int64_t head, std::int64_t from, std::int64_t to) noexcept {
    const std::int64_t width = cache.shape[3], row_bytes = cache.format->row_bytes(width), a = from % tile_keys, b = to % tile_keys;
    const CacheLayout layout = layout_of(cache);
    const std::byte* const source = cache_tile(cache, sequence, head, from);
    std::byte* const target = cache_tile(cache, sequence, head, to);
    if (layout == CacheLayout::rows || (layout == CacheLayout::numbers && side == Side::values)) {
        std::memcpy(target + b * row_bytes, source + a * row_bytes, static_cast<std::size_t>(row_bytes));
        return;
    }
    if (layout == CacheLayout::numbers) {
        const std::int64_t bytes = row_bytes / width;
        for (std::int64_t d = 0; d < width; ++d) std::memcpy(target + (d * tile_keys + b) * bytes, source + (d * tile_keys + a) * bytes, static_cast<std::size_t>(bytes));
        return;
    }
    const std::int64_t bytes = layout == CacheLayout::bytes ? 32 : 16, scales = width * bytes / 32 * tile_keys;
    for (std::int64_t block = 0; block < width / 32; ++block) {
        for (std::int64_t i = 0; i < bytes; ++i) target[place_of(side, bytes, width, block, i, b)] = source[place_of(side, bytes, width, block, i, a)];
        std::memcpy(target + scales + (block * tile_keys + b) * 2, source + scales + (block * tile_keys + a) * 2, 2);
    }
}

void append_head(const Call& call, std::int64_t r, std::int64_t kv_head) noexcept {
    const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)], position = call.batch.positions[static_cast<std::size_t>(r)];
    for (const Side side : {Side::keys, Side::values}) {
        const auto i = static_cast<std::size_t>(side == Side::values);
        write_position(call.states[i], side, sequence, kv_head, position, call.inputs[1 + i].row_f32(r) + kv_head * call.states[i].shape[3]);
    }
}

void append(const Call& call) noexcept {
    if (call.attributes.integer("cross", 0)) return;
    const std::int64_t rows = call.inputs[0].shape.rows(), kv_heads = call.states[0].shape[1];
    const std::int64_t chunks = (rows + rows_per_chunk_of_head - 1) / rows_per_chunk_of_head;
    call.pool->run(chunks * kv_heads, [&](std::int64_t c, int) {
        const std::int64_t kv_head = c / chunks, first = c % chunks * rows_per_chunk_of_head;
        for (std::int64_t r = first; r < std::min(rows, first + rows_per_chunk_of_head); ++r) append_head(call, r, kv_head);
    });
}

}  // namespace tailor::ops::attention_kernels
