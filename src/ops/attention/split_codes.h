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
// in the tile is 65,535; it errs by 2^-17 of that, the rest is exact. Codes of keys are unsigned, with an offset that costs
// -offset * sum(q) where the sums begin; codes of values are signed, since weights are not negative: where the scale of a block
// of q4_0 is, the codes change their sign instead.

struct CodeScratch {
    alignas(64) std::int8_t q[most_heads][2][most_head_dim];     // high, low
    alignas(64) std::uint8_t weights[most_heads][2][tile_keys];  // high, low; fours of keys in the order of place_of_quad
    alignas(64) float scores[most_heads][tile_keys];
    alignas(64) float value_scale[most_head_dim / 32][tile_keys];  // magnitudes in units of value_unit
    alignas(64) std::int8_t value_sign[most_head_dim / 32][tile_keys];  // -1 where the scale is negative, else 0
    std::int32_t start[most_heads][most_head_dim / 32][2];         // -offset * sum of a block's q
    float value_unit[most_head_dim / 32];
    float q_scale[most_heads];
};

#if defined(__x86_64__)
/// Stores the lowest byte of every lane. A template so that it is compiled only where it is used: at lanes == 16.
template <int width>
[[gnu::always_inline]] inline void store_low_bytes(void* p, Integers v) {
    _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_loadu_si512(&v)));
}

/// Queries of the unit as pairs of bytes.
template <CacheLayout layout, int width>
static void prepare_queries(const float* q, std::int64_t heads, std::int64_t dim, float factor, CodeScratch& s) noexcept {
    constexpr std::int32_t offset = layout == CacheLayout::bytes ? 128 : 8;
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
            // Sums of 32 bytes are exact as f32.
            s.start[h][b][0] = -offset * static_cast<std::int32_t>(sum(to_floats(high_sum))), s.start[h][b][1] = -offset * static_cast<std::int32_t>(sum(to_floats(low_sum)));
        }
    }
}

[[gnu::always_inline]] inline Integers join_digits(Integers high, Integers low) { return (high << 8) + low; }
[[gnu::always_inline]] inline Bytes low_nibbles(Bytes v) { return (Bytes)((Integers)v & 0x0F0F0F0F); }
[[gnu::always_inline]] inline Bytes high_nibbles(Bytes v) { return (Bytes)((Integers)v >> 4 & 0x0F0F0F0F); }

/// Sums of products of H heads, two digits each, with two vectors of keys.
template <int H>
struct KeyProducts {
    Integers of[H][2][2];  // [head][high, low][vector]

    /// Adds those of four dimensions, whose first is at `at` for the first head and digit.
    [[gnu::always_inline]] void add(const std::int8_t* at, Bytes first, Bytes second) {
        for (int i = 0; i < H; ++i)
            for (int digit = 0; digit < 2; ++digit) {
                const Integers q = broadcast_word(at + (2 * i + digit) * most_head_dim);
                of[i][digit][0] = dot_bytes(of[i][digit][0], first, q);
                of[i][digit][1] = dot_bytes(of[i][digit][1], second, q);
            }
    }
};

/// Scores of H heads from head `h` with 2 vectors of keys of a tile from key `j`.
template <CacheLayout layout, int H>
static void score_codes(const std::byte* tile, std::int64_t dim, std::int64_t h, std::int64_t j, Ahead& ahead, CodeScratch& s) noexcept {
    constexpr std::int64_t quads = layout == CacheLayout::bytes ? 8 : 4;
    const std::byte* const scales = tile_scales(tile, layout, dim);
    Ahead prefetch = ahead;
    Vector total[H][2] = {};
    std::int64_t b = 0;
    do {  // at least once, as the compiler must know to keep the sums in registers
        KeyProducts<H> products;
        const std::int8_t* const q = s.q[h][0] + 32 * b;
        for (int i = 0; i < H; ++i)
            for (int digit = 0; digit < 2; ++digit) products.of[i][digit][0] = products.of[i][digit][1] = broadcast_integer(s.start[h + i][b][digit]);
        for (std::int64_t quad = 0; quad < quads; ++quad) {
            prefetch.step();
            const std::byte* const at = tile + ((b * quads + quad) * tile_keys + j) * 4;
            const Bytes first = load_bytes(at), second = load_bytes(at + sizeof(Bytes));
            if constexpr (layout == CacheLayout::bytes) {
                products.add(q + 4 * quad, first, second);
            } else {
                products.add(q + 4 * quad, low_nibbles(first), low_nibbles(second));
                products.add(q + 4 * quad + 16, high_nibbles(first), high_nibbles(second));
            }
        }
        for (int v = 0; v < 2; ++v) {
            const Vector scale = load_halves(scales + 2 * (b * tile_keys + j + v * lanes));
            for (int i = 0; i < H; ++i) total[i][v] = fused(to_floats(join_digits(products.of[i][0][v], products.of[i][1][v])), scale, total[i][v]);
        }
    } while (++b < dim / 32);
    ahead = prefetch;
    for (int i = 0; i < H; ++i)
        for (int v = 0; v < 2; ++v) store(s.scores[h + i] + j + v * lanes, total[i][v] * s.q_scale[h + i]);
}

/// Scales of the tile's values as magnitudes in their unit, and their signs.
template <int width>
static void prepare_values(const std::byte* scales, std::int64_t dim, CodeScratch& s) noexcept {
    for (std::int64_t b = 0; b < dim / 32; ++b) {
        Vector value[tile_keys / 16], most = {};
        for (std::int64_t i = 0; i < tile_keys / 16; ++i) {
            value[i] = load_halves(scales + 2 * (b * tile_keys + 16 * i));
            Integers bits;
            std::memcpy(&bits, &value[i], sizeof bits);
            store_low_bytes<width>(s.value_sign[b] + 16 * i, bits >> 31);
            value[i] = maximum(value[i], -value[i]);
            most = maximum(most, value[i]);
        }
        const float largest = spread_largest(most)[0];
        const Vector normalize = broadcast(largest > 0 ? 65535.0f / largest : 0);
        s.value_unit[b] = largest / 65535.0f;
        for (std::int64_t i = 0; i < tile_keys / 16; ++i) store(s.value_scale[b] + 16 * i, value[i] * normalize);
    }
}

/// Where weights_to_bytes leaves the weights of quad 4 i + l of keys: packing takes four numbers of each of four vectors in turn.
constexpr std::int64_t place_of_quad(std::int64_t i, std::int64_t l) { return 16 * l + 4 * i; }

/// The weights of head `h` times the scales of block `b`, as two unsigned bytes.
template <int width>
[[gnu::always_inline]] inline void weights_to_bytes(CodeScratch& s, std::int64_t h, std::int64_t b) noexcept {
    __m512i words[4];
    for (int i = 0; i < 4; ++i) {
        const __m512 product = _mm512_mul_ps(_mm512_loadu_ps(s.scores[h] + 16 * i), _mm512_loadu_ps(s.value_scale[b] + 16 * i));
        words[i] = _mm512_maskz_cvtps_epi32(0xFFFF, product);
    }
    const __m512i first = _mm512_packus_epi32(words[0], words[1]), second = _mm512_packus_epi32(words[2], words[3]), low = _mm512_set1_epi16(255);
    _mm512_store_si512(s.weights[h][0], _mm512_packus_epi16(_mm512_srli_epi16(first, 8), _mm512_srli_epi16(second, 8)));
    _mm512_store_si512(s.weights[h][1], _mm512_packus_epi16(_mm512_and_si512(first, low), _mm512_and_si512(second, low)));
}

/// Codes of the values of block `b` and the quad of keys, as signed bytes whose scales are positive.
template <CacheLayout layout>
[[gnu::always_inline]] inline void load_value_codes(const std::byte* tile, std::int64_t dim, std::int64_t b, std::int64_t quad, const CodeScratch& s, Integers (&value)[2]) noexcept {
    if constexpr (layout == CacheLayout::bytes) {
        const std::byte* const at = tile + (quad * dim + 32 * b) * 4;
        value[0] = load_integers(at), value[1] = load_integers(at + sizeof(Integers));
    } else {
        typedef std::int8_t Signed __attribute__((vector_size(sizeof(Integers))));
        const Bytes codes = load_bytes(tile + (quad * dim / 2 + 16 * b) * 4);
        const auto sign = (Signed)broadcast_word(&s.value_sign[b][4 * quad]);
        value[0] = (Integers)((((Signed)low_nibbles(codes) - 8) ^ sign) - sign);
        value[1] = (Integers)((((Signed)high_nibbles(codes) - 8) ^ sign) - sign);
    }
}

/// sums = sums * correction + weights * values for H heads and the 32 dimensions of block `b`, and the keys before `end`.
template <CacheLayout layout, int H>
static void add_codes(const std::byte* tile, std::int64_t dim, std::int64_t b, std::int64_t end, std::int64_t h, const CodeScratch& s, const float* correction, const float* factor,
                      Ahead& ahead, float* sums) noexcept {
    Integers products[H][2][2] = {};  // [head][high, low][half of the block]
    const std::uint8_t* const weights = s.weights[h][0];
    Ahead prefetch = ahead;
    std::int64_t i = 0;
    do {  // weights behind the last key are zero, so that quads go in fours
        for (std::int64_t l = 0; l < 4; ++l) {
            prefetch.step();
            Integers value[2];
            load_value_codes<layout>(tile, dim, b, 4 * i + l, s, value);
            for (int n = 0; n < H; ++n)
                for (int digit = 0; digit < 2; ++digit) {
                    const auto weight = (Bytes)broadcast_word(weights + (2 * n + digit) * tile_keys + place_of_quad(i, l));
                    for (int v = 0; v < 2; ++v) products[n][digit][v] = dot_bytes(products[n][digit][v], weight, value[v]);
                }
        }
    } while (++i < (end + 15) / 16);
    ahead = prefetch;
    for (int i = 0; i < H; ++i)
        for (int v = 0; v < 2; ++v) {
            float* const place = sums + (h + i) * dim + 32 * b + v * lanes;
            const Vector sum = to_floats(join_digits(products[i][0][v], products[i][1][v]));
            store(place, fused(sum, broadcast(factor[h + i] * s.value_unit[b]), load(place) * correction[h + i]));
        }
}

/// One tile of a unit, whose first key stands at `tile_begin`. Behind it in memory lies the next one.
template <CacheLayout layout, int width>
static void attend_codes(const Unit& unit, std::int64_t tile_begin, const std::byte* keys, std::int64_t head_dim, const std::byte* values, std::int64_t value_dim, CodeScratch& s,
                         Running& running) noexcept {
    using ScoreCodes = void (*)(const std::byte*, std::int64_t, std::int64_t, std::int64_t, Ahead&, CodeScratch&) noexcept;
    using AddCodes = void (*)(const std::byte*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const CodeScratch&, const float*, const float*, Ahead&, float*) noexcept;
    static constexpr ScoreCodes score_codes_of[] = {nullptr, &score_codes<layout, 1>, &score_codes<layout, 2>, &score_codes<layout, 3>, &score_codes<layout, 4>};
    static constexpr AddCodes add_codes_of[] = {nullptr, &add_codes<layout, 1>, &add_codes<layout, 2>, &add_codes<layout, 3>, &add_codes<layout, 4>};
    constexpr std::int64_t halves = layout == CacheLayout::bytes ? 1 : 2;
    const std::int64_t heads = unit.heads, fours = (heads + 3) / 4, end = unit.within(tile_begin).end;
    Ahead keys_ahead = next_tile(keys, tile_keys * head_dim / 32 * (32 / halves + 2), fours * (tile_keys / (2 * lanes)) * head_dim / 4 / halves);
    for (std::int64_t h = 0; h < heads; h += 4)
        for (std::int64_t j = 0; j < end; j += 2 * lanes) score_codes_of[std::min<std::int64_t>(4, heads - h)](keys, head_dim, h, j, keys_ahead, s);
    Moved moved;
    weigh_all(unit, tile_begin, s.scores[0], running, moved);
    prepare_values<width>(tile_scales(values, layout, value_dim), value_dim, s);
    Ahead values_ahead = next_tile(values, tile_keys * value_dim / 32 * (32 / halves + 2), fours * value_dim / 32 * tile_keys / 4);
    for (std::int64_t b = 0; b < value_dim / 32; ++b) {
        for (std::int64_t h = 0; h < heads; ++h) weights_to_bytes<width>(s, h, b);
        for (std::int64_t h = 0; h < heads; h += 4)
            add_codes_of[std::min<std::int64_t>(4, heads - h)](values, value_dim, b, end, h, s, moved.correction, moved.tile_factor, values_ahead, running.sums);
    }
}
#endif
