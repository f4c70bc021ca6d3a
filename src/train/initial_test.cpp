// First values: what papers ask of them, and that they are the same every time.
#include "train/initial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "formats/registry.h"

namespace tailor::train {
namespace {

core::Tensor initial(const std::string& name, const core::Shape& shape, std::int64_t layers = 8, std::uint64_t seed = 1) {
    core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
    std::fill_n(tensor.row_f32(0), shape.elements(), 7.0f);
    initialize_weight(name, tensor, layers, seed);
    return tensor;
}

double deviation(const core::Tensor& tensor) {
    double sum = 0;
    for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) sum += static_cast<double>(tensor.row_f32(0)[i]) * static_cast<double>(tensor.row_f32(0)[i]);
    return std::sqrt(sum / static_cast<double>(tensor.shape.elements()));
}

TEST(FirstValues, MatricesNormsAndBiases) {
    EXPECT_NEAR(0.02, deviation(initial("blk.0.attn_q.weight", {200, 300})), 2e-4);
    EXPECT_NEAR(0.005, deviation(initial("blk.0.ffn_down.weight", {200, 300}, 8)), 5e-5) << "less by the root of twice the layers";
    EXPECT_NEAR(0.005, deviation(initial("blk.0.ssm_out.weight", {200, 300}, 8)), 5e-5);
    for (const core::Shape shape : {core::Shape{5}, {4, 8}}) EXPECT_FLOAT_EQ(1, initial("blk.0.attn_q_norm.weight", shape).row_f32(0)[3]);
    EXPECT_FLOAT_EQ(0, initial("blk.0.attn_q.bias", {5}).row_f32(0)[4]);
    EXPECT_FLOAT_EQ(7, initial("a_vector_no_one_knows", {5}).row_f32(0)[4]) << "stays as it was";
}

TEST(FirstValues, AreTheSameForNameAndSeed) {
    const auto first = [](const core::Tensor& t) { return t.row_f32(0)[0]; };
    EXPECT_EQ(first(initial("a.weight", {4, 4})), first(initial("a.weight", {4, 4})));
    EXPECT_NE(first(initial("a.weight", {4, 4})), first(initial("b.weight", {4, 4})));
    EXPECT_NE(first(initial("a.weight", {4, 4})), first(initial("a.weight", {4, 4}, 8, 2)));
}

TEST(FirstValues, StateSpaces) {
    const core::Tensor decay = initial("blk.0.ssm_a", {3, 16}), heads = initial("blk.0.ssm_a", {24}), bias = initial("blk.0.ssm_dt.bias", {500});
    for (std::int64_t i = 0; i < 48; ++i) EXPECT_FLOAT_EQ(-static_cast<float>(i % 16 + 1), decay.row_f32(0)[i]);
    for (std::int64_t i = 0; i < 24; ++i) EXPECT_TRUE(heads.row_f32(0)[i] <= -1 && heads.row_f32(0)[i] >= -16);
    double least = 1, most = 0;
    for (std::int64_t i = 0; i < 500; ++i) {
        const double step = std::log1p(std::exp(static_cast<double>(bias.row_f32(0)[i])));
        least = std::min(least, step), most = std::max(most, step);
    }
    EXPECT_TRUE(least > 0.00099 && least < 0.0013 && most < 0.101 && most > 0.08) << least << " " << most;
}

TEST(FirstValues, ForgetGatesBeginOpen) {
    const core::Tensor bias = initial("blk.0.lstm_in.bias", {8});
    EXPECT_EQ((std::vector<float>{0, 0, 1, 1, 0, 0, 0, 0}), std::vector<float>(bias.row_f32(0), bias.row_f32(0) + 8));
}

TEST(FirstValues, RationalsBeginAsIdentityAndSilu) {
    for (const int layer : {1, 2}) {
        const std::string name = "blk.0.ffn_act_" + std::to_string(layer);
        const core::Tensor above = initial(name + ".numerator", {12}), below = initial(name + ".denominator", {8});
        for (const std::int64_t group : {0, 1})
            for (double x = -6; x <= 6; x += 0.25) {
                double p = 0, q = 0;
                for (std::int64_t i = 0; i < 6; ++i) p += static_cast<double>(above.row_f32(0)[6 * group + i]) * std::pow(x, static_cast<double>(i));
                for (std::int64_t i = 0; i < 4; ++i) q += static_cast<double>(below.row_f32(0)[4 * group + i]) * std::pow(x, static_cast<double>(i + 1));
                EXPECT_NEAR(layer == 1 ? x : x / (1 + std::exp(-x)), p / (1 + std::fabs(q)), 3e-4) << name << " at " << x;
            }
    }
}

}  // namespace
}  // namespace tailor::train
