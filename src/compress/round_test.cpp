// Rounding with and without importance.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "compress/registry.h"
#include "core/error.h"
#include "formats/registry.h"

namespace tailor::compress {
namespace {

core::Tensor random_matrix(std::int64_t rows, std::int64_t width) {
    core::Tensor t = formats::make_tensor(formats::get("f32"), {rows, width});
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < rows * width; ++i) t.row_f32(0)[i] = normal(random);
    return t;
}

TEST(Round, FallsWithMoreBitsAndIsTheSameForAnyThreadCount) {
    const core::Tensor source = random_matrix(37, 512);
    core::Pool one(1), three(3);
    double last = 1e9;
    for (const char* const name : {"q2_k", "q4_k", "q8_0", "f16"}) {
        const core::Tensor a = get("round").apply({source, formats::get(name), {}, one}), b = get("round").apply({source, formats::get(name), {}, three});
        EXPECT_EQ(0, std::memcmp(a.data, b.data, static_cast<std::size_t>(formats::tensor_bytes(*a.format, a.shape)))) << name;
        const WeightedError e = weighted_error(source, a, {}, three);
        EXPECT_LT(e.error, 0.3 * last) << name;
        last = e.error;
    }
}

// A stack of two matrices with an importance each is rounded as the two alone.
TEST(Round, MatricesOfAStackHaveTheirOwnImportance) {
    core::Tensor stack = random_matrix(20, 128);
    stack.shape = {2, 10, 128};
    std::vector<float> importance(2 * 128);
    for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = static_cast<float>((i % 128 < 64) == (i < 128) ? 1 : 0.01);
    core::Pool pool(2);
    const formats::Format& format = formats::get("q4_0");
    const core::Tensor rounded = get("round").apply({stack, format, importance, pool});
    EXPECT_EQ(stack.shape, rounded.shape);
    double error = 0;
    for (std::int64_t m = 0; m < 2; ++m) {
        const core::Tensor part = formats::view(*stack.format, {10, 128}, stack.row(m * 10));
        const std::span<const float> own = std::span(importance).subspan(static_cast<std::size_t>(m * 128), 128);
        const core::Tensor alone = get("round").apply({part, format, own, pool});
        EXPECT_EQ(0, std::memcmp(alone.data, rounded.row(m * 10), static_cast<std::size_t>(formats::tensor_bytes(format, alone.shape)))) << m;
        error += weighted_error(part, alone, own, pool).error;
    }
    EXPECT_NEAR(error, weighted_error(stack, rounded, importance, pool).error, 1e-9 * error);
    EXPECT_THROW(get("round").apply({stack, format, std::span(importance).subspan(1), pool}), core::Error);
}

TEST(Round, ImportanceMovesTheErrorAwayFromWhatMatters) {
    const core::Tensor source = random_matrix(16, 256);
    core::Pool pool(2);
    std::vector<float> importance(256, 0.01f);
    for (std::size_t i = 0; i < 256; i += 8) importance[i] = 10;
    const core::Tensor plain = get("round").apply({source, formats::get("q3_k"), {}, pool}), weighted = get("round").apply({source, formats::get("q3_k"), importance, pool});
    EXPECT_LT(weighted_error(source, weighted, importance, pool).error, 0.8 * weighted_error(source, plain, importance, pool).error);
}

TEST(Round, RefusesNanAndRowsThatDoNotFit) {
    core::Tensor source = random_matrix(4, 256);
    core::Pool pool(2);
    EXPECT_THROW(get("round").apply({random_matrix(4, 100), formats::get("q4_k"), {}, pool}), core::Error);
    source.row_f32(3)[17] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(get("round").apply({source, formats::get("q4_k"), {}, pool}), core::Error);
}

}  // namespace
}  // namespace tailor::compress
