// Split attention on caches of 8- and 4-bit blocks (q8_0, q4_0), with integer products of four bytes per lane.
//
// Included by split_kernel.cpp inside each level's namespace; used where lanes == 16, whose dot_bytes is one instruction that
// does four times the products of a fused f32 one. One operand of a product is a byte of the cache as it is; the other, a
// query or a weight, keeps 16 bits as two bytes, 256 * high + low, so two such products together are still twice as fast.
//
//     score[h][j] = scale_q[h] * sum over blocks b of scale_k[b][j] * (q[h] . codes[b][j])
//     y[h][d]     = sum over tiles of unit * sum over j of (weight[h][j] * scale_v[b][j] / unit) * code[j][d]
//
// The integer in the second line is a rounded product of weight and scale, its unit chosen so that the largest possible one
// in the tile is 65,535; it errs by 2^-17 of that, the rest is exact. Codes of keys are made unsigned by an offset, which costs
// -offset * sum(q) where the sums begin; codes of values stay signed, since weights are not negative: where a block's
// scale is, the codes change their sign instead.

/// One tile of 64 keys and values, unpacked for dot_bytes.
struct CodeScratch {
    alignas(64) std::uint8_t keys[most_head_dim / 4][tile_keys][4];      // [dimension / 4][key][dimension % 4]
    alignas(64) std::uint8_t values[tile_keys / 4][most_head_dim][4];    // [key / 4][dimension][key % 4]
    alignas(64) float key_scale[most_head_dim / 32][tile_keys];
    alignas(64) float value_scale[most_head_dim / 32][tile_keys];        // in units of value_unit
    alignas(64) std::int8_t q[most_heads][2][most_head_dim];             // high, low
    alignas(64) std::uint8_t weights[most_heads][2][tile_keys];          // high, low
    alignas(64) float scores[most_heads][tile_keys];
    std::int32_t start[most_heads][most_head_dim / 32][2];               // -offset * sum of a block's q
    float value_unit[most_head_dim / 32];
    float q_scale[most_heads];
    std::byte rows[tile_keys * most_head_dim / 32 * 34];  // a tile with missing rows
};

/// The block formats that are multiplied as integers.
enum class CodeFormat { none, bytes, nibbles };

static inline CodeFormat code_format(const core::Tensor& cache) noexcept {
    return cache.format->name == "q8_0" ? CodeFormat::bytes : cache.format->name == "q4_0" ? CodeFormat::nibbles : CodeFormat::none;
}
static inline std::int64_t block_bytes(CodeFormat format) noexcept { return format == CodeFormat::bytes ? 34 : 18; }
static inline std::int32_t code_offset(CodeFormat format) noexcept { return format == CodeFormat::bytes ? 128 : 8; }

#if defined(__x86_64__)
/// A template so that it is compiled only where it is used: at lanes == 16.
template <int width>
struct Unpack {
    struct Four {
        __m512i row[4];
    };

    /// row[e] holds 16 bytes of the keys first + 4 L + e in its 128-bit lanes L.
    [[gnu::always_inline]] static Four gather(const std::byte* bytes, std::int64_t stride, std::int64_t first) noexcept {
        bytes += first * stride;
        Four four;
        for (int e = 0; e < 4; ++e) four.row[e] = lanes_of(bytes + e * stride, bytes + (4 + e) * stride, bytes + (8 + e) * stride, bytes + (12 + e) * stride);
        return four;
    }
    [[gnu::always_inline]] static __m512i lanes_of(const std::byte* a, const std::byte* b, const std::byte* c, const std::byte* d) noexcept {
        __m512i v = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a)));
        v = _mm512_mask_broadcast_i32x4(v, 0x00F0, _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
        v = _mm512_mask_broadcast_i32x4(v, 0x0F00, _mm_loadu_si128(reinterpret_cast<const __m128i*>(c)));
        return _mm512_mask_broadcast_i32x4(v, 0xF000, _mm_loadu_si128(reinterpret_cast<const __m128i*>(d)));
    }

    /// Sixteen dimensions of sixteen keys: out[quad][key].
    [[gnu::always_inline]] static void store_keys(const Four& x, std::uint8_t (*to)[tile_keys][4]) noexcept {
        const __m512i a = _mm512_unpacklo_epi32(x.row[0], x.row[1]), b = _mm512_unpacklo_epi32(x.row[2], x.row[3]);
        const __m512i c = _mm512_unpackhi_epi32(x.row[0], x.row[1]), d = _mm512_unpackhi_epi32(x.row[2], x.row[3]);
        _mm512_storeu_si512(to[0], _mm512_unpacklo_epi64(a, b));
        _mm512_storeu_si512(to[1], _mm512_unpackhi_epi64(a, b));
        _mm512_storeu_si512(to[2], _mm512_unpacklo_epi64(c, d));
        _mm512_storeu_si512(to[3], _mm512_unpackhi_epi64(c, d));
    }
    /// Sixteen dimensions of sixteen keys: to[quad of keys][dimension][key % 4].
    [[gnu::always_inline]] static void store_values(const Four& x, std::uint8_t (*to)[most_head_dim][4]) noexcept {
        const __m512i a = _mm512_unpacklo_epi8(x.row[0], x.row[1]), b = _mm512_unpacklo_epi8(x.row[2], x.row[3]);
        const __m512i c = _mm512_unpackhi_epi8(x.row[0], x.row[1]), d = _mm512_unpackhi_epi8(x.row[2], x.row[3]);
        // Lane L of y_i: keys 4 L to 4 L + 3 of dimensions 4 i to 4 i + 3.
        const __m512i y0 = _mm512_unpacklo_epi16(a, b), y1 = _mm512_unpackhi_epi16(a, b), y2 = _mm512_unpacklo_epi16(c, d), y3 = _mm512_unpackhi_epi16(c, d);
        const __m512i z0 = _mm512_shuffle_i32x4(y0, y1, 0x44), z1 = _mm512_shuffle_i32x4(y2, y3, 0x44);
        const __m512i z2 = _mm512_shuffle_i32x4(y0, y1, 0xEE), z3 = _mm512_shuffle_i32x4(y2, y3, 0xEE);
        _mm512_storeu_si512(to[0], _mm512_shuffle_i32x4(z0, z1, 0x88));
        _mm512_storeu_si512(to[1], _mm512_shuffle_i32x4(z0, z1, 0xDD));
        _mm512_storeu_si512(to[2], _mm512_shuffle_i32x4(z2, z3, 0x88));
        _mm512_storeu_si512(to[3], _mm512_shuffle_i32x4(z2, z3, 0xDD));
    }

    /// Scales of one block of all keys of the tile: the low halves of the words that blocks begin with.
    static void scales(const std::byte* block, std::int64_t stride, float* to) noexcept {
        const __m512i each = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(static_cast<int>(stride)));
        for (std::int64_t j = 0; j < tile_keys; j += 16, block += 16 * stride) {
            const __m512i heads = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xFFFF, each, block, 1);
            _mm512_storeu_ps(to + j, _mm512_maskz_cvtph_ps(0xFFFF, _mm512_cvtepi32_epi16(heads)));
        }
    }

    static void keys(const std::byte* rows, std::int64_t dim, CodeFormat format, CodeScratch& s) noexcept {
        const std::int64_t stride = dim / 32 * block_bytes(format);
        for (std::int64_t b = 0; b < dim / 32; ++b) {
            const std::byte* const block = rows + b * block_bytes(format);
            scales(block, stride, s.key_scale[b]);
            for (std::int64_t j = 0; j < tile_keys; j += 16) {
                const auto to = reinterpret_cast<std::uint8_t (*)[tile_keys][4]>(&s.keys[8 * b][j]);
                if (format == CodeFormat::bytes) {
                    for (int half = 0; half < 2; ++half) {
                        Four x = gather(block + 2 + 16 * half, stride, j);
                        for (__m512i& row : x.row) row = _mm512_xor_si512(row, _mm512_set1_epi8(-128));
                        store_keys(x, to + 4 * half);
                    }
                } else {
                    const Four x = gather(block + 2, stride, j);
                    store_keys(nibbles(x, 0), to);
                    store_keys(nibbles(x, 4), to + 4);
                }
            }
        }
    }

    [[gnu::always_inline]] static Four nibbles(const Four& x, unsigned shift) noexcept {
        Four result;
        for (int e = 0; e < 4; ++e) result.row[e] = _mm512_and_si512(_mm512_srli_epi16(x.row[e], shift), _mm512_set1_epi8(15));
        return result;
    }

    /// Changes the sign of the codes of keys whose bit in `negative` is set.
    [[gnu::always_inline]] static Four with_signs(Four x, unsigned negative, std::int8_t offset) noexcept {
        if (!negative && !offset) return x;
        for (int e = 0; e < 4; ++e) {
            const auto dwords = static_cast<__mmask16>((negative >> e & 0x1111u) * 15u);  // bit 4 L + e to the four of lane L
            if (offset) x.row[e] = _mm512_sub_epi8(x.row[e], _mm512_set1_epi8(offset));
            if (dwords) x.row[e] = _mm512_mask_mov_epi32(x.row[e], dwords, _mm512_sub_epi8(_mm512_setzero_si512(), x.row[e]));
        }
        return x;
    }

    static void values(const std::byte* rows, std::int64_t dim, CodeFormat format, CodeScratch& s) noexcept {
        const std::int64_t stride = dim / 32 * block_bytes(format);
        for (std::int64_t b = 0; b < dim / 32; ++b) {
            const std::byte* const block = rows + b * block_bytes(format);
            float* const scale = s.value_scale[b];
            scales(block, stride, scale);
            unsigned negative[tile_keys / 16];
            Vector most = {};
            for (std::int64_t j = 0; j < tile_keys; j += 16) {
                const Vector value = load(scale + j), magnitude = maximum(value, -value);
                negative[j / 16] = _mm512_movepi32_mask(_mm512_loadu_si512(scale + j));
                store(scale + j, magnitude);
                most = maximum(most, magnitude);
            }
            const float largest = spread_largest(most)[0];
            const Vector normalize = broadcast(largest > 0 ? 65535.0f / largest : 0);
            s.value_unit[b] = largest / 65535.0f;
            for (std::int64_t j = 0; j < tile_keys; j += 16) store(scale + j, load(scale + j) * normalize);
            for (std::int64_t j = 0; j < tile_keys; j += 16) {
                const auto to = reinterpret_cast<std::uint8_t (*)[most_head_dim][4]>(&s.values[j / 4][32 * b]);
                const auto upper = reinterpret_cast<std::uint8_t (*)[most_head_dim][4]>(&s.values[j / 4][32 * b + 16]);
                if (format == CodeFormat::bytes) {
                    store_values(with_signs(gather(block + 2, stride, j), negative[j / 16], 0), to);
                    store_values(with_signs(gather(block + 18, stride, j), negative[j / 16], 0), upper);
                } else {
                    const Four x = gather(block + 2, stride, j);
                    store_values(with_signs(nibbles(x, 0), negative[j / 16], 8), to);
                    store_values(with_signs(nibbles(x, 4), negative[j / 16], 8), upper);
                }
            }
        }
    }
};

/// Sum of all lanes; exact whatever the order.
[[gnu::always_inline]] inline std::int32_t total_of(Integers v) {
    std::int32_t total = 0;
    for (int i = 0; i < lanes; ++i) total += v[i];
    return total;
}
/// Stores the lowest byte of every lane.
template <int width>
[[gnu::always_inline]] inline void store_low_bytes(void* p, Integers v) {
    _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_loadu_si512(&v)));
}

/// Queries of the unit as pairs of bytes.
template <int width>
static void prepare_queries(const float* q, std::int64_t heads, std::int64_t dim, float factor, std::int32_t offset, CodeScratch& s) noexcept {
    for (std::int64_t h = 0; h < heads; ++h, q += dim) {
        Vector most_lanes = {};
        for (std::int64_t d = 0; d < dim; d += lanes) most_lanes = maximum(maximum(most_lanes, load(q + d)), -load(q + d));
        const float most = spread_largest(most_lanes)[0];
        // 127 * 256 + 127 is the largest number of two signed bytes.
        const float to_integer = most > 0 ? 32639.0f / most : 0;
        s.q_scale[h] = most / 32639.0f * factor;
        for (std::int64_t b = 0; b < dim / 32; ++b) {
            Integers high_sum = {}, low_sum = {};
            for (std::int64_t d = 32 * b; d < 32 * b + 32; d += lanes) {
                const Integers value = nearest(load(q + d) * to_integer), high = (value + 128) >> 8, low = value - (high << 8);
                store_low_bytes<width>(s.q[h][0] + d, high);
                store_low_bytes<width>(s.q[h][1] + d, low);
                high_sum += high, low_sum += low;
            }
            s.start[h][b][0] = -offset * total_of(high_sum), s.start[h][b][1] = -offset * total_of(low_sum);
        }
    }
}

[[gnu::always_inline]] inline Integers join_digits(Integers high, Integers low) { return (high << 8) + low; }

/// Scores of H heads from head `h` with 2 vectors of keys from key `j`.
template <int H>
static void score_codes(CodeScratch& s, std::int64_t h, std::int64_t j, std::int64_t dim) noexcept {
    Vector total[H][2] = {};
    for (std::int64_t b = 0; b < dim / 32; ++b) {
        Integers products[H][2][2];  // [head][high, low][vector]
        for (int i = 0; i < H; ++i)
            for (int digit = 0; digit < 2; ++digit) products[i][digit][0] = products[i][digit][1] = broadcast_integer(s.start[h + i][b][digit]);
        for (std::int64_t quad = 8 * b; quad < 8 * b + 8; ++quad) {
            const Bytes key[2] = {load_bytes(s.keys[quad][j]), load_bytes(s.keys[quad][j + lanes])};
            for (int i = 0; i < H; ++i)
                for (int digit = 0; digit < 2; ++digit) {
                    const Integers q = broadcast_word(&s.q[h + i][digit][4 * quad]);
                    for (int v = 0; v < 2; ++v) products[i][digit][v] = dot_bytes(products[i][digit][v], key[v], q);
                }
        }
        for (int v = 0; v < 2; ++v) {
            const Vector scale = load(s.key_scale[b] + j + v * lanes);
            for (int i = 0; i < H; ++i) total[i][v] = fused(to_floats(join_digits(products[i][0][v], products[i][1][v])), scale, total[i][v]);
        }
    }
    for (int i = 0; i < H; ++i)
        for (int v = 0; v < 2; ++v) store(s.scores[h + i] + j + v * lanes, total[i][v] * s.q_scale[h + i]);
}

/// The weights of head `h` times the scales of block `b`, as two unsigned bytes.
template <int width>
[[gnu::always_inline]] inline void weights_to_bytes(CodeScratch& s, std::int64_t h, std::int64_t b) noexcept {
    for (std::int64_t j = 0; j < tile_keys; j += lanes) {
        // The low bits of 1.5 * 2^23 + n are n.
        const Vector shifted = fused(load(s.scores[h] + j), load(s.value_scale[b] + j), broadcast(12582912.0f));
        Integers bits;
        std::memcpy(&bits, &shifted, sizeof bits);
        store_low_bytes<width>(s.weights[h][0] + j, bits >> 8);
        store_low_bytes<width>(s.weights[h][1] + j, bits);
    }
}

/// sums = sums * correction + weights * values for H heads and the 32 dimensions of block `b`.
template <int H>
static void add_codes(const CodeScratch& s, std::int64_t h, std::int64_t b, std::int64_t count, const Vector* correction, const Vector* factor, float* sums, std::int64_t stride) noexcept {
    constexpr int parts = 32 / lanes;
    Integers products[H][2][parts] = {};
    for (std::int64_t quad = 0; quad < (count + 3) / 4; ++quad) {
        Integers value[parts];
        for (int v = 0; v < parts; ++v) value[v] = load_integers(s.values[quad][32 * b + v * lanes]);
        for (int i = 0; i < H; ++i)
            for (int digit = 0; digit < 2; ++digit) {
                const auto weight = (Bytes)broadcast_word(&s.weights[h + i][digit][4 * quad]);
                for (int v = 0; v < parts; ++v) products[i][digit][v] = dot_bytes(products[i][digit][v], weight, value[v]);
            }
    }
    for (int i = 0; i < H; ++i)
        for (int v = 0; v < parts; ++v) {
            float* const place = sums + (h + i) * stride + 32 * b + v * lanes;
            const Vector sum = to_floats(join_digits(products[i][0][v], products[i][1][v]));
            store(place, fused(sum, factor[h + i] * s.value_unit[b], load(place) * correction[h + i]));
        }
}

/// `count` rows of the cache where they are, or, if they are fewer than a tile, a copy with zeros behind them.
static inline const std::byte* whole_tile(const std::byte* rows, std::int64_t row_bytes, std::int64_t count, CodeScratch& s) noexcept {
    if (count == tile_keys) return rows;
    std::memcpy(s.rows, rows, static_cast<std::size_t>(count * row_bytes));
    std::memset(s.rows + count * row_bytes, 0, static_cast<std::size_t>((tile_keys - count) * row_bytes));
    return s.rows;
}

/// One tile of a unit, whose first key stands at `position`: its rows of the cache begin at `keys` and `values`.
template <int width>
static void attend_codes(const Unit& unit, std::int64_t position, const std::byte* keys, CodeFormat key_format, std::int64_t head_dim, const std::byte* values,
                         CodeFormat value_format, std::int64_t value_dim, std::int64_t count, Ahead& keys_ahead, Ahead& values_ahead, CodeScratch& s, Running& running) noexcept {
    using ScoreCodes = void (*)(CodeScratch&, std::int64_t, std::int64_t, std::int64_t) noexcept;
    using AddCodes = void (*)(const CodeScratch&, std::int64_t, std::int64_t, std::int64_t, const Vector*, const Vector*, float*, std::int64_t) noexcept;
    static constexpr ScoreCodes score_codes_of[] = {nullptr, &score_codes<1>, &score_codes<2>, &score_codes<3>, &score_codes<4>};
    static constexpr AddCodes add_codes_of[] = {nullptr, &add_codes<1>, &add_codes<2>, &add_codes<3>, &add_codes<4>};
    const std::int64_t heads = unit.heads;
    Unpack<width>::keys(whole_tile(keys, head_dim / 32 * block_bytes(key_format), count, s), head_dim, key_format, s);
    for (std::int64_t h = 0; h < heads; h += 4)
        for (std::int64_t j = 0; j < count; j += 2 * lanes) {
            keys_ahead.step(head_dim * 68 / std::max<std::int64_t>(heads, 4) + 64);
            score_codes_of[std::min<std::int64_t>(4, heads - h)](s, h, j, head_dim);
        }
    Vector correction[most_heads], factor[most_heads];
    for (std::int64_t h = 0; h < heads; ++h) {
        if (unit.scoring->changes_scores()) adjust(*unit.scoring, unit.first_head + h, unit.position, position, count, s.scores[h]);
        correction[h] = weigh(running, h, count, s.scores[h], factor[h]);
    }
    Unpack<width>::values(whole_tile(values, value_dim / 32 * block_bytes(value_format), count, s), value_dim, value_format, s);
    for (std::int64_t b = 0; b < value_dim / 32; ++b) {
        for (std::int64_t h = 0; h < heads; ++h) weights_to_bytes<width>(s, h, b);
        for (std::int64_t h = 0; h < heads; h += 4) {
            values_ahead.step(tile_keys * 34 * 4 / std::max<std::int64_t>(heads, 4) + 64);
            add_codes_of[std::min<std::int64_t>(4, heads - h)](s, h, b, count, correction, factor, running.sums, value_dim);
        }
    }
}
#endif
