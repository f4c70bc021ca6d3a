// The tile kernel with tiles in memory, at every level of this machine, against matmul's reference in double: formats of
// every kind, shapes with odd edges. And with the processor's tiles, where there are any, against those in memory.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>

#include "cpu/tiles.h"
#include "formats/half.h"
#include "formats/panels.h"
#include "ops/matmul/kernels.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::ops {
namespace {

struct Product {
    core::Tensor x, w, bias;
};

Product random_product(std::string_view format_name, std::int64_t rows, std::int64_t n, std::int64_t k) {
    const formats::Format& format = formats::get(format_name);
    Product p{formats::make_tensor(formats::get("f32"), {rows, k}), formats::make_tensor(format, {n, k}), {}};
    if (n % 2) p.bias = formats::make_tensor(formats::get("f32"), {n});
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    const auto fill = [&](const core::Tensor& tensor) {
        std::vector<float> row(static_cast<std::size_t>(tensor.shape.width()));
        for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) {
            for (float& v : row) v = normal(random);
            tensor.format->encode(row.data(), nullptr, tensor.row(r), tensor.shape.width());
        }
    };
    fill(p.x), fill(p.w);
    if (p.bias) fill(p.bias);
    return p;
}

template <class Function>
core::Tensor execute(Function run, const Product& p, const core::Tensor& w, int threads, cpu::Isa isa) {
    core::Pool pool(threads);
    const std::int64_t rows = p.x.shape.rows(), n = w.shape[0];
    core::Tensor y = formats::make_tensor(formats::get("f32"), {rows, n});
    const core::Tensor scratch = formats::make_tensor(formats::get("i32"), {matmul_kernels::tile_scratch_bytes(rows, p.x.shape.width()) / 4});
    std::memset(scratch.data, 0xFF, static_cast<std::size_t>(scratch.shape.elements() * 4));  // NaN: padding left unset would show
    const Attributes none;
    std::vector<core::Tensor> inputs{p.x, w};
    if (p.bias) inputs.push_back(p.bias);
    run({none, inputs, y, {}, {}, &pool, isa, scratch.data});
    return y;
}

double worst_error(const core::Tensor& expected, const core::Tensor& actual) {
    double largest = 0, worst = 0;
    for (std::int64_t i = 0; i < expected.shape.elements(); ++i) {
        const double difference = std::fabs(static_cast<double>(expected.row_f32(0)[i]) - actual.row_f32(0)[i]);
        largest = std::max(largest, std::fabs(static_cast<double>(expected.row_f32(0)[i])));
        if (!(difference <= worst)) worst = difference;
    }
    return worst / largest;
}

bool same(const core::Tensor& a, const core::Tensor& b) { return std::memcmp(a.data, b.data, static_cast<std::size_t>(a.shape.elements() * 4)) == 0; }

// A number as one bf16 and as the sum of two; errors are shares of the largest value.
struct Kind {
    const char* name;
    const cpu::PerIsa<Run>&tiles, &in_memory;
    double error;
};
const Kind kinds[] = {{"short", matmul_kernels::tile_kernel_short, matmul_kernels::plain_tile_kernel_short, 5e-3},
                      {"exact", matmul_kernels::tile_kernel_exact, matmul_kernels::plain_tile_kernel_exact, 3e-5}};

void check(std::string_view format, std::int64_t rows, std::int64_t n, std::int64_t k) {
    const std::string what = core::format("{} rows {} n {} k {}", format, rows, n, k);
    const Product p = random_product(format, rows, n, k);
    const core::Tensor panels = formats::make_panels(p.w), expected = execute(get("matmul").reference, p, p.w, 1, cpu::Isa::base);
    for (const Kind& kind : kinds) {
        const std::string which = what + ", " + kind.name;
        core::Tensor first;
        for (const cpu::Isa isa : cpu::available_isas()) {
            const Run run = kind.in_memory.at(isa);
            const core::Tensor y = execute(run, p, panels, 1, isa);
            EXPECT_LE(worst_error(expected, y), kind.error) << which << " at " << cpu::name(isa);
            if (!first) first = y;
            EXPECT_TRUE(same(y, execute(run, p, panels, 3, isa))) << which << " at " << cpu::name(isa) << " differs with three threads";
            EXPECT_LE(worst_error(first, y), 0.4 * kind.error) << which;  // where base does not fuse, a minimum may round otherwise
        }
        if (cpu::highest_isa() < cpu::Isa::amx) continue;
        const core::Tensor y = execute(kind.tiles.at(cpu::Isa::amx), p, panels, 3, cpu::Isa::amx);
        EXPECT_LE(worst_error(expected, y), kind.error) << which << " with the processor's tiles";
        EXPECT_LE(worst_error(execute(kind.in_memory.at(cpu::Isa::amx), p, panels, 1, cpu::Isa::amx), y), 1e-6) << which;
    }
}

class TileKernel : public testing::TestWithParam<const char*> {};

TEST_P(TileKernel, AgreesWithTheReference) {
    const std::int64_t block = std::max(32, formats::get(GetParam()).values_per_block);
    check(GetParam(), 1, 33, block);
    check(GetParam(), 17, 33, 4 * block);
    check(GetParam(), 37, 48, 512 + block);
    check(GetParam(), 70, 7, 512);
}

INSTANTIATE_TEST_SUITE_P(Formats, TileKernel, testing::Values("f32", "f16", "q8_0", "q5_1", "q4_k", "q2_k", "q3_k", "q6_k", "iq4_xs", "mxfp4", "tq1_0"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TileKernelShapes, SeveralPartsOfRowsAndChunksOfPanels) {
    check("q4_0", 530, 33, 32);
    check("f16", 16, 16 * 33 + 5, 288);
}

TEST(TileKernelShapes, UndefinedActivationsShow) {
    const Product p = random_product("q8_0", 18, 20, 64);
    std::uint32_t all_ones = 0xFFFFFFFFu;
    std::memcpy(p.x.row_f32(17) + 40, &all_ones, 4);
    p.x.row_f32(3)[5] = std::numeric_limits<float>::infinity();
    const core::Tensor panels = formats::make_panels(p.w);
    const auto check_finite = [&](const core::Tensor& y) {
        for (std::int64_t r = 0; r < 18; ++r)
            for (std::int64_t j = 0; j < 20; ++j) EXPECT_EQ(std::isfinite(y.row_f32(r)[j]), r != 17 && r != 3) << r << ' ' << j;
    };
    for (const Kind& kind : kinds) {
        for (const cpu::Isa isa : cpu::available_isas()) check_finite(execute(kind.in_memory.at(isa), p, panels, 1, isa));
        if (cpu::highest_isa() >= cpu::Isa::amx) check_finite(execute(kind.tiles.at(cpu::Isa::amx), p, panels, 1, cpu::Isa::amx));
    }
}

TEST(TileKernelShapes, DeclinesWhatItCannotDo) {
    for (const auto& [name, least_rows] : {std::pair<std::string_view, std::int64_t>{"panel_tiles_8", 16}, {"panel_tiles", 32}}) {
        const Kernel* tiles = nullptr;
        for (const Kernel& kernel : get("matmul").kernels)
            if (kernel.name == name) tiles = &kernel;
        ASSERT_NE(tiles, nullptr);
        const Attributes none;
        const auto declines = [&](std::int64_t rows, std::int64_t k, core::Layout layout, std::string_view format = "q5_0") {
            const std::vector<TensorType> types{f32({rows, k}), {&formats::get(format), {8, k}, layout}};
            return !tiles->can_run({none, types, f32({rows, 8})});
        };
        const auto slower = [&](std::int64_t rows) {
            const std::vector<TensorType> types{f32({rows, 64}), {&formats::get("q5_0"), {8, 64}, core::Layout::panels}};
            return !tiles->slower({none, types, f32({rows, 8})}).empty();
        };
        EXPECT_FALSE(declines(least_rows, 64, core::Layout::panels));
        EXPECT_TRUE(slower(least_rows - 1) && !slower(least_rows));
        EXPECT_TRUE(declines(least_rows, 60, core::Layout::panels));
        EXPECT_EQ(declines(least_rows, 64, core::Layout::panels, "q8_0"), least_rows == 16) << "one bf16 would add to the error of q8_0";
        EXPECT_TRUE(declines(least_rows, 64, core::Layout::rows));
        EXPECT_FALSE(static_cast<bool>(tiles->run.at(cpu::Isa::avx512)));
    }
}

// One product of tiles, checked number by number, and that sums are added to.
template <class Tiles>
void check_product() {
    alignas(64) std::uint16_t a[16][32], b[16][16][2];
    alignas(64) float sums[16][16];
    for (int m = 0; m < 16; ++m)
        for (int i = 0; i < 32; ++i) a[m][i] = formats::f32_to_bf16(static_cast<float>((m * 5 + i * 3) % 17 - 8));
    for (int i = 0; i < 32; ++i)
        for (int n = 0; n < 16; ++n) b[i / 2][n][i % 2] = formats::f32_to_bf16(static_cast<float>((n * 7 + i * 11) % 13 - 6));
    for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 16; ++n) sums[m][n] = static_cast<float>(m - n);
    {
        Tiles tiles;
        tiles.template load<2>(reinterpret_cast<const std::byte*>(sums));
        tiles.template load<5>(reinterpret_cast<const std::byte*>(a));
        tiles.template load<7>(reinterpret_cast<const std::byte*>(b));
        tiles.template multiply<2, 5, 7>();
        tiles.template store<2>(reinterpret_cast<std::byte*>(sums));
    }
    for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 16; ++n) {
            int expected = m - n;
            for (int i = 0; i < 32; ++i) expected += ((m * 5 + i * 3) % 17 - 8) * ((n * 7 + i * 11) % 13 - 6);
            EXPECT_EQ(sums[m][n], static_cast<float>(expected)) << m << ' ' << n;
        }
}

TEST(Tiles, PlainProduct) { check_product<cpu::PlainTiles>(); }

template <class Tiles, int... tile>
void check_moves(std::integer_sequence<int, tile...>) {
    alignas(64) std::byte in[8][cpu::tile_bytes], out[8][cpu::tile_bytes];
    for (int t = 0; t < 8; ++t)
        for (int i = 0; i < cpu::tile_bytes; ++i) in[t][i] = static_cast<std::byte>((t * 31 + i) % 251);
    std::memset(out, 0xFF, sizeof out);
    {
        Tiles tiles;
        (tiles.template load<tile>(in[tile]), ...);
        tiles.template zero<5>();
        (tiles.template store<tile>(out[tile]), ...);
    }
    std::memset(in[5], 0, cpu::tile_bytes);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(std::memcmp(in[i], out[i], cpu::tile_bytes), 0) << "tile " << i;
}

TEST(Tiles, PlainMoves) { check_moves<cpu::PlainTiles>(std::make_integer_sequence<int, 8>()); }

TEST(Tiles, ProcessorMoves) {
#if defined(__x86_64__)
    if (cpu::highest_isa() >= cpu::Isa::amx) return check_moves<cpu::AmxTiles>(std::make_integer_sequence<int, 8>());
#endif
    GTEST_SKIP() << "this processor has no AMX tiles";
}

TEST(Tiles, PlainTakesTinyNumbersForZero) {
    alignas(64) std::uint32_t a[256] = {1}, b[256] = {0x3F80};  // the least bf16 times 1
    alignas(64) std::uint32_t sums[256] = {0x80000001u};
    cpu::PlainTiles tiles;
    tiles.load<0>(reinterpret_cast<const std::byte*>(sums));
    tiles.load<4>(reinterpret_cast<const std::byte*>(a));
    tiles.load<6>(reinterpret_cast<const std::byte*>(b));
    tiles.multiply<0, 4, 6>();
    tiles.store<0>(reinterpret_cast<std::byte*>(sums));
    EXPECT_EQ(sums[0] & 0x7FFFFFFFu, 0u);
}

TEST(Tiles, ProcessorProduct) {
#if defined(__x86_64__)
    if (cpu::highest_isa() >= cpu::Isa::amx) return check_product<cpu::AmxTiles>();
#endif
    GTEST_SKIP() << "this processor has no AMX tiles; the tile kernel was tested with tiles in memory";
}

}  // namespace
}  // namespace tailor::ops
