// Tiles of the cache (cache.h) as f32: keys [dimension][64], values [64][dimension].
//
// Included inside each instruction-set level's namespace under that level's target, after ops/attention/vectors.h; hence no
// include guard and no includes.

/// Codes of byte `shift / 8` of every lane, or of half of it.
template <CacheLayout layout>
[[gnu::always_inline]] inline Integers codes_at(Integers lanes_of_codes, int shift, std::int32_t offset) {
    return (lanes_of_codes >> shift & (layout == CacheLayout::bytes ? 255 : 15)) - offset;
}

/// 64 scales of each block.
inline void load_scales(const std::byte* scales, std::int64_t count, float* to) noexcept {
    for (std::int64_t i = 0; i < count; i += lanes) store(to + i, load_halves(scales + 2 * i));
}

template <CacheLayout layout>
static void decode_key_codes(const std::byte* tile, std::int64_t width, float* to) noexcept {
    constexpr int halves = layout == CacheLayout::bytes ? 1 : 2;
    constexpr std::int64_t quads = 8 / halves;
    const std::byte* const scales = tile_scales(tile, layout, width);
    for (std::int64_t b = 0; b < width / 32; ++b)
        for (std::int64_t j = 0; j < tile_keys; j += lanes) {
            const Vector scale = load_halves(scales + 2 * (b * tile_keys + j));
            for (std::int64_t q = 0; q < quads; ++q) {
                const Integers codes = load_integers(tile + ((b * quads + q) * tile_keys + j) * 4);
                for (int e = 0; e < 4; ++e)
                    for (int half = 0; half < halves; ++half) {
                        const Integers code = codes_at<layout>(codes, 8 * e + 4 * half, layout == CacheLayout::bytes ? 128 : 8);
                        store(to + (32 * b + 16 * half + 4 * q + e) * tile_keys + j, to_floats(code) * scale);
                    }
            }
        }
}

template <CacheLayout layout>
static void decode_value_codes(const std::byte* tile, std::int64_t width, float* to) noexcept {
    constexpr int halves = layout == CacheLayout::bytes ? 1 : 2;
    const std::byte* const scales = tile_scales(tile, layout, width);
    for (std::int64_t b = 0; b < width / 32; ++b) {
        alignas(64) float scale[tile_keys];
        load_scales(scales + 2 * b * tile_keys, tile_keys, scale);
        for (std::int64_t j = 0; j < tile_keys; j += 4)
            for (std::int64_t d = 0; d < 32 / halves; d += lanes) {
                Integers codes = load_integers(tile + (j / 4 * width / halves + 32 / halves * b + d) * 4);
                if (layout == CacheLayout::bytes) codes ^= broadcast_integer(static_cast<std::int32_t>(0x80808080));
                for (int e = 0; e < 4; ++e)
                    for (int half = 0; half < halves; ++half) {
                        const Integers code = codes_at<layout>(codes, 8 * e + 4 * half, layout == CacheLayout::bytes ? 128 : 8);
                        store(to + (j + e) * width + 32 * b + 16 * half + d, to_floats(code) * scale[j + e]);
                    }
            }
    }
}

/// Numbers of a cache as f32. Halves by the processor's own conversion where it has one: the format's decoder is made for the same
/// bits of every not-a-number at every level, and takes several times as long.
static void decode_numbers(const core::Tensor& cache, const std::byte* from, std::int64_t count, cpu::Isa isa, float* to) noexcept {
    if (lanes == 4 || cache.format->name != "f16") return cache.format->decode.at(isa)(from, to, count);
    for (std::int64_t i = 0; i < count; i += lanes) store(to + i, load_halves(from + 2 * i));
}

/// The keys of a tile at [d * 64 + j]: in place where they are f32, else in `buffer` of 64 * round_up(width, lanes) floats. `rows` is
/// room for as many, and a vector more.
static const float* tile_of_keys(const core::Tensor& cache, const std::byte* tile, cpu::Isa isa, float* buffer, float* rows) noexcept {
    const std::int64_t width = cache.shape[3];
    switch (layout_of(cache)) {
        case CacheLayout::numbers:
            if (cache.format->name == "f32") return reinterpret_cast<const float*>(tile);
            decode_numbers(cache, tile, tile_keys * width, isa, buffer);
            break;
        case CacheLayout::bytes: decode_key_codes<CacheLayout::bytes>(tile, width, buffer); break;
        case CacheLayout::nibbles: decode_key_codes<CacheLayout::nibbles>(tile, width, buffer); break;
        case CacheLayout::rows:
            cache.format->decode.at(isa)(tile, rows, tile_keys * width);
            transpose_into(rows, width, buffer, tile_keys, tile_keys, width);
    }
    return buffer;
}

/// The values of a tile at [j * width + d]: in place where they are f32, else in `buffer`. Of widths that are no multiple of the
/// lanes a copy is made, so that nothing is read behind the cache.
static const float* tile_of_values(const core::Tensor& cache, const std::byte* tile, cpu::Isa isa, float* buffer) noexcept {
    const std::int64_t width = cache.shape[3];
    switch (layout_of(cache)) {
        case CacheLayout::bytes: decode_value_codes<CacheLayout::bytes>(tile, width, buffer); break;
        case CacheLayout::nibbles: decode_value_codes<CacheLayout::nibbles>(tile, width, buffer); break;
        default:
            if (cache.format->name == "f32" && width % lanes == 0) return reinterpret_cast<const float*>(tile);
            decode_numbers(cache, tile, tile_keys * width, isa, buffer);
    }
    return buffer;
}
