// Products of small matrices in cache, C (=, or +=) A B, with A in any order and B and C in rows.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA` and ops/pairs.h; hence no include guard and no includes.

// 2 * small_rows sums, two vectors of B and a broadcast fit the 32 (avx512) or 16 registers.
constexpr int small_rows = lanes == 16 ? 12 : lanes == 8 ? 6 : 4;

/// Element (i, p) stands at first[i * row + p * depth].
struct Left {
    const float* first;
    std::int64_t row, depth;
};

/// Numbers are f32: a number of A and a vector of numbers of B, one product per lane.
struct Singles {
    [[gnu::always_inline]] static inline Vector left(const float* p) { return broadcast(*p); }
    [[gnu::always_inline]] static inline Vector add(Vector sums, Vector left, Vector right) { return fused(left, right, sums); }
};
/// Words of two bf16 numbers that are neighbours along the depth (ops/pairs.h), which then counts words.
struct Pairs {
    [[gnu::always_inline]] static inline Vector left(const float* p) { return broadcast_bits(p); }
    [[gnu::always_inline]] static inline Vector add(Vector sums, Vector left, Vector right) { return add_pair_products(sums, right, left); }
};

// `adds` is a parameter of the template: with a choice at run time GCC 12 keeps the sums in memory before the loop and after it.
template <class Numbers, int rows, int vectors, bool adds>
static void small_tile(Left a, const float* b, std::int64_t b_row, std::int64_t depth, float* c, std::int64_t c_row) noexcept {
    Vector sums[rows][vectors];
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) sums[r][v] = adds ? load(c + r * c_row + v * lanes) : Vector{};
    for (std::int64_t p = 0; p < depth; ++p, b += b_row) {
        Vector right[vectors];
        for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
        for (int r = 0; r < rows; ++r) {
            const Vector value = Numbers::left(a.first + r * a.row + p * a.depth);
            for (int v = 0; v < vectors; ++v) sums[r][v] = Numbers::add(sums[r][v], value, right[v]);
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) store(c + r * c_row + v * lanes, sums[r][v]);
}

using SmallTile = void (*)(Left, const float*, std::int64_t, std::int64_t, float*, std::int64_t) noexcept;
template <class Numbers, int vectors, bool adds, int... heights>
static SmallTile small_tile_of(std::int64_t rows, std::integer_sequence<int, heights...>) noexcept {
    static constexpr SmallTile tiles[] = {&small_tile<Numbers, heights + 1, vectors, adds>...};
    return tiles[rows - 1];
}

/// C [m][n]: n is a multiple of `lanes`.
template <class Numbers, bool adds>
static void small_product(Left a, std::int64_t m, const float* b, std::int64_t b_row, std::int64_t depth, std::int64_t n, float* c, std::int64_t c_row) noexcept {
    constexpr auto heights = std::make_integer_sequence<int, small_rows>();
    for (std::int64_t j = 0; j < n; j += 2 * lanes)
        for (std::int64_t i = 0; i < m; i += small_rows) {
            const std::int64_t rows = std::min<std::int64_t>(small_rows, m - i);
            const SmallTile tile = n - j >= 2 * lanes ? small_tile_of<Numbers, 2, adds>(rows, heights) : small_tile_of<Numbers, 1, adds>(rows, heights);
            tile({a.first + i * a.row, a.row, a.depth}, b + j, b_row, depth, c + i * c_row + j, c_row);
        }
}
