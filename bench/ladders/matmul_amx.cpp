// A ladder: the product of activations and 8-bit weights on AMX tiles, from the definition to the kernel, one idea per step.
//
//     bench_ladder_matmul_amx [ROWS N K]      multiples of 32; 512 2048 2048 unless given
//
// y [rows, n] = x [rows, k] times the transpose of w [n, k], w as panels of q8_0 (formats/panels.h), one thread. Each step is
// checked against the first and timed; a step repeats the one before it but for the idea it is named after:
//     1  definition              double precision
//     2  tiles                   one tile of sums; both operands made into tiles where they are used
//     3  weights decoded once    a panel becomes tiles, then meets all rows
//     4  x rounded once          its tiles follow one another in memory; what remains in the loop is loads and products
//     5  2 x 2 tiles of sums     each tile loaded takes part in two products instead of one: half the loads
//     6  512 columns at a time   two decoded panels take 32 KB and stay in the first-level cache; sums wait as tiles between
//     7  prefetch                asks for x's tiles two steps ahead, since they come from the second-level cache
//     8  the kernel              ops/matmul/tile_kernel.cpp: also many panels per piece of x, any shape, any format, any threads
//     9  two bf16 a number       the same, three products for 16 bits instead of one for 8: less than a hundredth of the error
// Without AMX the same steps run on tiles in memory (cpu::PlainTiles) with a small shape: checked, not timed.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "cpu/isa.h"
#include "cpu/tiles.h"
#include "formats/half.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "ops/matmul/kernels.h"

namespace {

using namespace tailor;
using cpu::tile_bytes, cpu::tile_depth;

/// Aligned, since a row of a tile across two cache lines takes two loads.
struct alignas(64) Tile {
    std::byte bytes[tile_bytes];
};
std::byte* bytes_of(std::vector<Tile>& tiles, std::int64_t first = 0) { return tiles[static_cast<std::size_t>(first)].bytes; }

struct Problem {
    std::int64_t rows, n, k;
    core::Tensor x, w, y;  ///< w in panels of q8_0
    std::vector<Tile> a;   ///< space for x in tiles
    std::int64_t steps() const { return k / tile_depth; }
};

// One tile of weights: columns 32 step to 32 step + 31 of a panel. Units of 256 columns are f16 scales [32 columns][16 rows], then
// bytes [4 columns][16 rows][4], 128 above their value. bf16 is the upper half of an f32, here rounded half up.
[[gnu::always_inline]] inline void decode_tile_body(const Problem& p, std::int64_t panel, std::int64_t step, std::byte* tile) {
    const formats::Format& format = *p.w.format;
    const std::int64_t unit = step / 8, block = step % 8, values = std::min<std::int64_t>(256, p.k - unit * 256);
    const std::byte* const at = p.w.data + panel * formats::panel_bytes(format, p.k) + unit * formats::unit_bytes(format, 256);
    float scales[16];
    std::uint16_t halves[16];
    std::memcpy(halves, at + block * 32, sizeof halves);
    for (int r = 0; r < 16; ++r) scales[r] = formats::f16_to_f32(halves[r]);
    const std::byte* const codes = at + formats::unit_scale_bytes(format, values) + block * 512;
    for (int pair = 0; pair < 16; ++pair) {
        std::uint32_t words[16], bits[2][16];
        std::memcpy(words, codes + pair / 2 * 64, sizeof words);
        for (int odd = 0; odd < 2; ++odd)
            for (int r = 0; r < 16; ++r) {
                const float value = static_cast<float>(static_cast<std::int32_t>(words[r] >> (pair % 2 * 16 + odd * 8) & 255u) - format.integers->zero) * scales[r];
                std::memcpy(&bits[odd][r], &value, 4);
            }
        for (int r = 0; r < 16; ++r) words[r] = (bits[0][r] + 0x8000u) >> 16 | ((bits[1][r] + 0x8000u) & 0xFFFF0000u);
        std::memcpy(tile + pair * 64, words, sizeof words);
    }
}

void decode_tile_narrow(const Problem& p, std::int64_t panel, std::int64_t step, std::byte* tile) { decode_tile_body(p, panel, step, tile); }
#if defined(__x86_64__)
[[gnu::target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]] void decode_tile_wide(const Problem& p, std::int64_t panel, std::int64_t step, std::byte* tile) {
    decode_tile_body(p, panel, step, tile);
}
#endif
void decode_tile(const Problem& p, std::int64_t panel, std::int64_t step, std::byte* tile) {
#if defined(__x86_64__)
    static const bool wide = cpu::highest_isa() >= cpu::Isa::avx512;
    if (wide) return decode_tile_wide(p, panel, step, tile);
#endif
    decode_tile_narrow(p, panel, step, tile);
}

// One tile of x: sixteen rows of 32 values.
void round_tile(const Problem& p, std::int64_t row_tile, std::int64_t step, std::byte* tile) {
    for (std::int64_t r = 0; r < 16; ++r) {
        std::uint16_t values[tile_depth];
        const float* const x = p.x.row_f32(row_tile * 16 + r) + step * tile_depth;
        for (int i = 0; i < tile_depth; ++i) values[i] = formats::f32_to_bf16(x[i]);
        std::memcpy(tile + r * 64, values, sizeof values);
    }
}

const std::byte* round_all(Problem& p) {
    for (std::int64_t t = 0; t < p.rows / 16; ++t)
        for (std::int64_t s = 0; s < p.steps(); ++s) round_tile(p, t, s, bytes_of(p.a, t * p.steps() + s));
    return bytes_of(p.a);
}

void decode_panel(const Problem& p, std::int64_t panel, std::int64_t first_step, std::int64_t steps, std::byte* tiles) {
    for (std::int64_t s = 0; s < steps; ++s) decode_tile(p, panel, first_step + s, tiles + s * tile_bytes);
}

void write_tile(const Problem& p, std::int64_t row_tile, std::int64_t panel, const std::byte* sums) {
    for (std::int64_t r = 0; r < 16; ++r) std::memcpy(p.y.row_f32(row_tile * 16 + r) + panel * 16, sums + r * 64, 64);
}

std::vector<Tile> tiles_of(std::int64_t count) { return std::vector<Tile>(static_cast<std::size_t>(count)); }

void definition(Problem& p) {
    std::vector<float> w(static_cast<std::size_t>(p.k));
    for (std::int64_t j = 0; j < p.n; ++j) {
        formats::decode_row(p.w, j, w.data());
        for (std::int64_t r = 0; r < p.rows; ++r) {
            double sum = 0;
            for (std::int64_t i = 0; i < p.k; ++i) sum += static_cast<double>(p.x.row_f32(r)[i]) * w[static_cast<std::size_t>(i)];
            p.y.row_f32(r)[j] = static_cast<float>(sum);
        }
    }
}

template <class Tiles>
void naive(Problem& p) {
    alignas(64) std::byte a[tile_bytes], b[tile_bytes], sums[tile_bytes];
    Tiles tiles;
    for (std::int64_t panel = 0; panel < p.n / 16; ++panel)
        for (std::int64_t t = 0; t < p.rows / 16; ++t) {
            tiles.template zero<0>();
            for (std::int64_t s = 0; s < p.steps(); ++s) {
                round_tile(p, t, s, a), decode_tile(p, panel, s, b);
                tiles.template load<4>(a), tiles.template load<6>(b);
                tiles.template multiply<0, 4, 6>();
            }
            tiles.template store<0>(sums);
            write_tile(p, t, panel, sums);
        }
}

template <class Tiles, bool round_first>
void decoded_once(Problem& p) {
    alignas(64) std::byte sums[tile_bytes], space[tile_bytes];
    const std::byte* const all = round_first ? round_all(p) : nullptr;
    std::vector<Tile> b = tiles_of(p.steps());
    Tiles tiles;
    for (std::int64_t panel = 0; panel < p.n / 16; ++panel) {
        decode_panel(p, panel, 0, p.steps(), bytes_of(b));
        for (std::int64_t t = 0; t < p.rows / 16; ++t) {
            tiles.template zero<0>();
            for (std::int64_t s = 0; s < p.steps(); ++s) {
                if constexpr (!round_first) round_tile(p, t, s, space);
                tiles.template load<4>(round_first ? all + (t * p.steps() + s) * tile_bytes : space);
                tiles.template load<6>(bytes_of(b, s));
                tiles.template multiply<0, 4, 6>();
            }
            tiles.template store<0>(sums);
            write_tile(p, t, panel, sums);
        }
    }
}

// 2 x 2 tiles of sums over `steps`: two rows of tiles of x, `stride` bytes apart, times two panels, one after the other.
template <class Tiles, bool prefetch>
void add_products(Tiles& tiles, const std::byte* a, std::int64_t stride, const std::byte* b, std::int64_t steps) {
    for (std::int64_t s = 0; s < steps; ++s, a += tile_bytes, b += tile_bytes) {
        if constexpr (prefetch)
            for (std::int64_t line = 0; line < tile_bytes; line += 64) __builtin_prefetch(a + 2 * tile_bytes + line), __builtin_prefetch(a + stride + 2 * tile_bytes + line);
        tiles.template load<6>(b), tiles.template load<4>(a);
        tiles.template multiply<0, 4, 6>();
        tiles.template load<7>(b + steps * tile_bytes);
        tiles.template multiply<1, 4, 7>();
        tiles.template load<5>(a + stride);
        tiles.template multiply<2, 5, 6>(), tiles.template multiply<3, 5, 7>();
    }
}

template <class Tiles>
void store_four(Tiles& tiles, std::byte* sums) {
    tiles.template store<0>(sums), tiles.template store<1>(sums + tile_bytes);
    tiles.template store<2>(sums + 2 * tile_bytes), tiles.template store<3>(sums + 3 * tile_bytes);
}

void write_four(const Problem& p, std::int64_t row_tile, std::int64_t panel, const std::byte* sums) {
    for (int i = 0; i < 4; ++i) write_tile(p, row_tile + i / 2, panel + i % 2, sums + i * tile_bytes);
}

template <class Tiles>
void two_by_two(Problem& p) {
    alignas(64) std::byte sums[4 * tile_bytes];
    const std::byte* const a = round_all(p);
    std::vector<Tile> b = tiles_of(2 * p.steps());
    const std::int64_t stride = p.steps() * tile_bytes;
    Tiles tiles;
    for (std::int64_t panel = 0; panel < p.n / 16; panel += 2) {
        for (int side = 0; side < 2; ++side) decode_panel(p, panel + side, 0, p.steps(), bytes_of(b, side * p.steps()));
        for (std::int64_t t = 0; t < p.rows / 16; t += 2) {
            tiles.template zero<0>(), tiles.template zero<1>(), tiles.template zero<2>(), tiles.template zero<3>();
            add_products<Tiles, false>(tiles, a + t * stride, stride, bytes_of(b), p.steps());
            store_four(tiles, sums);
            write_four(p, t, panel, sums);
        }
    }
}

template <class Tiles, bool prefetch>
void in_pieces(Problem& p) {
    constexpr std::int64_t piece_steps = 512 / tile_depth;
    const std::byte* const a = round_all(p);
    std::vector<Tile> b = tiles_of(2 * piece_steps), sums = tiles_of(p.rows / 16 * 2);
    const std::int64_t stride = p.steps() * tile_bytes;
    Tiles tiles;
    for (std::int64_t panel = 0; panel < p.n / 16; panel += 2) {
        std::fill(sums.begin(), sums.end(), Tile{});
        for (std::int64_t first = 0; first < p.steps(); first += piece_steps) {
            const std::int64_t steps = std::min(piece_steps, p.steps() - first);
            for (int side = 0; side < 2; ++side) decode_panel(p, panel + side, first, steps, bytes_of(b, side * steps));
            for (std::int64_t t = 0; t < p.rows / 16; t += 2) {
                std::byte* const four = bytes_of(sums, t * 2);
                tiles.template load<0>(four), tiles.template load<1>(four + tile_bytes);
                tiles.template load<2>(four + 2 * tile_bytes), tiles.template load<3>(four + 3 * tile_bytes);
                add_products<Tiles, prefetch>(tiles, a + t * stride + first * tile_bytes, stride, bytes_of(b), steps);
                store_four(tiles, four);
            }
        }
        for (std::int64_t t = 0; t < p.rows / 16; t += 2) write_four(p, t, panel, bytes_of(sums, t * 2));
    }
}

void kernel(Problem& p, const cpu::PerIsa<ops::Run>& run) {
    static core::Pool pool(1);
    const std::vector<core::Tensor> inputs{p.x, p.w};
    const core::Tensor scratch = formats::make_tensor(formats::get("f32"), {ops::matmul_kernels::tile_scratch_bytes(p.rows, p.k) / 4});
    run.at(cpu::highest_isa())({{}, inputs, p.y, {}, {}, &pool, cpu::highest_isa(), scratch.data});
}
void short_in_memory(Problem& p) { kernel(p, ops::matmul_kernels::plain_tile_kernel_short); }
void short_on_processor(Problem& p) { kernel(p, ops::matmul_kernels::tile_kernel_short); }
void exact_in_memory(Problem& p) { kernel(p, ops::matmul_kernels::plain_tile_kernel_exact); }
void exact_on_processor(Problem& p) { kernel(p, ops::matmul_kernels::tile_kernel_exact); }

Problem make_problem(std::int64_t rows, std::int64_t n, std::int64_t k) {
    Problem p{rows, n, k, formats::make_tensor(formats::get("f32"), {rows, k}), {}, formats::make_tensor(formats::get("f32"), {rows, n}), tiles_of(rows / 16 * (k / tile_depth))};
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto fill = [&](float* row) { for (std::int64_t i = 0; i < k; ++i) row[i] = normal(random); };
    for (std::int64_t r = 0; r < rows; ++r) fill(p.x.row_f32(r));
    const core::Tensor w = formats::make_tensor(formats::get("q8_0"), {n, k});
    std::vector<float> row(static_cast<std::size_t>(k));
    for (std::int64_t j = 0; j < n; ++j) fill(row.data()), w.format->encode(row.data(), nullptr, w.row(j), k);
    p.w = formats::make_panels(w);
    return p;
}

struct Step {
    const char* name;
    void (*run)(Problem&);
    double error = 5e-3;  ///< allowed, as a share of the largest value
};

template <class Tiles>
int climb(Problem& p, bool timed, void (*short_kernel)(Problem&), void (*exact_kernel)(Problem&)) {
    const Step steps[] = {{"definition", &definition}, {"tiles", &naive<Tiles>}, {"weights decoded once", &decoded_once<Tiles, false>}, {"x rounded once", &decoded_once<Tiles, true>},
                          {"2 x 2 tiles of sums", &two_by_two<Tiles>}, {"512 columns at a time", &in_pieces<Tiles, false>}, {"prefetch", &in_pieces<Tiles, true>}, {"the kernel", short_kernel},
                          {"two bf16 a number", exact_kernel, 3e-5}};
    std::vector<float> expected;
    int wrong = 0, number = 0;
    for (const Step& step : steps) {
        double best = 1e30;
        for (int pass = 0; pass < (timed && number > 0 ? 5 : 1); ++pass) {
            const auto start = std::chrono::steady_clock::now();
            step.run(p);
            best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        }
        const float* const y = p.y.row_f32(0);
        if (expected.empty()) expected.assign(y, y + p.rows * p.n);
        double worst = 0, largest = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
            largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
            if (const double off = std::fabs(static_cast<double>(y[i]) - expected[i]); !(off <= worst)) worst = off;
        }
        const bool right = worst <= step.error * largest;
        wrong += !right;
        std::printf("%d  %-22s %s, off by %.1e of the largest value", ++number, step.name, right ? "right" : "WRONG", worst / largest);
        if (timed) std::printf("  %9.2f ms %8.1f GFLOP/s", best * 1e3, 2e-9 * static_cast<double>(p.rows * p.n * p.k) / best);
        std::printf("\n");
    }
    return wrong != 0;
}

}  // namespace

int main(int count, char** arguments) {
    const bool has_tiles = cpu::highest_isa() >= cpu::Isa::amx;
    std::int64_t sizes[3] = {has_tiles ? 512 : 96, has_tiles ? 2048 : 64, has_tiles ? 2048 : 1120};
    for (int i = 0; i < 3 && i + 1 < count; ++i) sizes[i] = std::atoll(arguments[i + 1]) / 32 * 32;
    Problem p = make_problem(sizes[0], sizes[1], sizes[2]);
#if defined(__x86_64__)
    if (has_tiles) return climb<cpu::AmxTiles>(p, true, &short_on_processor, &exact_on_processor);
#endif
    std::printf("This processor has no AMX: the steps run on tiles in memory, which shows that they are right, not that they are fast.\n");
    return climb<cpu::PlainTiles>(p, false, &short_in_memory, &exact_in_memory);
}
