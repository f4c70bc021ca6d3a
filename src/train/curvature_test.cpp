// Derivatives of a small model's loss: single sequences against the batch, products with the Hessian against differences of the loss.
#include "train/curvature.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "models/tiny_family.h"
#include "models/tiny_model.h"
#include "train/gradient_norm.h"

namespace tailor::train {
namespace {

constexpr std::int64_t context = 6, count = 3;

struct Text {
    std::vector<std::int32_t> ids, targets;
    Text() {
        for (std::int32_t i = 0; i < context * count; ++i) ids.push_back(i * 7 % 11), targets.push_back((i + 1) * 5 % 13);
        targets[4] = -1;
    }
    Sequences sequences() const { return {ids, targets}; }
};

std::span<float> numbers(const core::Tensor& tensor) { return {tensor.row_f32(0), static_cast<std::size_t>(tensor.shape.elements())}; }

std::vector<core::Tensor> random_like(const Trainer& trainer, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<core::Tensor> result;
    for (const core::Tensor& tensor : trainer.trained()) {
        result.push_back(formats::make_tensor(formats::get("f32"), tensor.shape));
        for (float& v : numbers(result.back())) v = static_cast<float>(static_cast<double>(random()) * 0x1p-31 - 1);
    }
    return result;
}

double dot(const std::vector<core::Tensor>& a, const std::vector<core::Tensor>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t k = 0; k < numbers(a[i]).size(); ++k) sum += static_cast<double>(numbers(a[i])[k]) * static_cast<double>(numbers(b[i])[k]);
    return sum;
}

TEST(PerSampleGradients, AddUpToThoseOfTheBatch) {
    const models::testing::TinyModel model("llama", 2);
    core::Pool pool(2);
    const Text text;
    const auto single = derivatives_of(model, pool, 1, context), batch = derivatives_of(model, pool, count, context);
    single->initialize(1), batch->initialize(1);
    double loss = 0, mean = 0;
    const std::vector<core::Tensor> all = batch->gradients(text.ids, text.targets, loss);
    std::vector<std::vector<double>> sums;
    for (const core::Tensor& tensor : all) sums.emplace_back(numbers(tensor).size());
    std::vector<std::size_t> order;
    per_sample_gradients(*single, text.sequences(), [&](std::size_t s, double own, std::span<const core::Tensor> gradients) {
        order.push_back(s);
        // Means over 5, 6 and 6 targets, of 17.
        const double share = (s == 0 ? 5.0 : 6.0) / 17;
        mean += share * own;
        for (std::size_t i = 0; i < gradients.size(); ++i)
            for (std::size_t k = 0; k < sums[i].size(); ++k) sums[i][k] += share * static_cast<double>(numbers(gradients[i])[k]);
    });
    EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2}));
    EXPECT_NEAR(mean, loss, 1e-6);
    for (std::size_t i = 0; i < all.size(); ++i) {
        double largest = 0, worst = 0;
        for (std::size_t k = 0; k < sums[i].size(); ++k) {
            largest = std::max(largest, std::abs(sums[i][k]));
            worst = std::max(worst, std::abs(sums[i][k] - static_cast<double>(numbers(all[i])[k])));
        }
        EXPECT_LE(worst, 1e-5 * largest) << single->name(i);
    }
    EXPECT_THROW(per_sample_gradients(*batch, text.sequences(), [](std::size_t, double, std::span<const core::Tensor>) {}), core::Error);
}

TEST(PerSampleGradients, FollowTheLossOfTheirSequence) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(1);
    const Text text;
    const auto trainer = derivatives_of(model, pool, 1, context);
    const std::vector<core::Tensor> direction = random_like(*trainer, 3);
    std::vector<double> slopes;
    per_sample_gradients(*trainer, text.sequences(), [&](std::size_t, double, std::span<const core::Tensor> gradients) { slopes.push_back(dot({gradients.begin(), gradients.end()}, direction)); });
    std::vector<std::vector<double>> losses;
    const auto move = [&](double by) {
        for (std::size_t i = 0; i < direction.size(); ++i)
            for (std::size_t k = 0; k < numbers(direction[i]).size(); ++k) numbers(trainer->trained()[i])[k] += static_cast<float>(by * static_cast<double>(numbers(direction[i])[k]));
        losses.emplace_back();
        per_sample_gradients(*trainer, text.sequences(), [&](std::size_t, double loss, std::span<const core::Tensor>) { losses.back().push_back(loss); });
    };
    constexpr double h = 1e-3;
    move(h), move(-2 * h);
    for (std::size_t s = 0; s < slopes.size(); ++s) EXPECT_NEAR((losses[0][s] - losses[1][s]) / (2 * h), slopes[s], 5e-3 * std::abs(slopes[s]) + 1e-3) << s;
}

TEST(Fisher, IsTheMeanOfSquares) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(2);
    const Text text;
    const auto trainer = derivatives_of(model, pool, 1, context);
    double expected = 0;
    per_sample_gradients(*trainer, text.sequences(), [&](std::size_t, double, std::span<const core::Tensor> gradients) { expected += sum_of_squares(gradients, pool) / count; });
    double total = 0;
    for (const core::Tensor& tensor : fisher_diagonal(*trainer, text.sequences()))
        for (const float value : numbers(tensor)) {
            ASSERT_GE(value, 0);
            total += static_cast<double>(value);
        }
    EXPECT_NEAR(total, expected, 1e-5 * expected);
}

/// u^T H v from four losses at a distance, and from four at half of it: the errors of both fall with its square.
double mixed_difference(Trainer& trainer, const Text& text, const std::vector<core::Tensor>& u, const std::vector<core::Tensor>& v, double h) {
    std::vector<std::vector<float>> saved;
    for (const core::Tensor& weight : trainer.trained()) saved.emplace_back(numbers(weight).begin(), numbers(weight).end());
    const auto loss_at = [&](double a, double b) {
        for (std::size_t i = 0; i < saved.size(); ++i)
            for (std::size_t k = 0; k < saved[i].size(); ++k)
                numbers(trainer.trained()[i])[k] = static_cast<float>(static_cast<double>(saved[i][k]) + a * static_cast<double>(numbers(u[i])[k]) + b * static_cast<double>(numbers(v[i])[k]));
        return trainer.loss(text.ids, text.targets);
    };
    const auto at = [&](double d) { return (loss_at(d, d) - loss_at(d, -d) - loss_at(-d, d) + loss_at(-d, -d)) / (4 * d * d); };
    const double result = (4 * at(h) - at(2 * h)) / 3;
    loss_at(0, 0);
    return result;
}

std::vector<core::Tensor> unit(const std::vector<core::Tensor>& tensors, core::Pool& pool) {
    const double norm = gradient_norm(tensors, pool);
    for (const core::Tensor& tensor : tensors)
        for (float& v : numbers(tensor)) v = static_cast<float>(static_cast<double>(v) / norm);
    return tensors;
}

TEST(Hessian, ProductsAreSymmetricAndAgreeWithTheLoss) {
    for (const char* const family : {"llama", "gpt2"}) {
        const auto model = models::testing::make_tiny_family(family, models::testing::Parts::least);
        core::Pool pool(2);
        const Text text;
        const auto trainer = derivatives_of(*model, pool, count, context);
        const std::vector<core::Tensor> u = random_like(*trainer, 5), v = random_like(*trainer, 6);
        std::vector<std::vector<float>> before;
        for (const core::Tensor& weight : trainer->trained()) before.emplace_back(numbers(weight).begin(), numbers(weight).end());
        const HessianProduct hu = hessian_product(*trainer, text.sequences(), u), hv = hessian_product(*trainer, text.sequences(), v);
        for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(0, std::memcmp(before[i].data(), trainer->trained()[i].data, 4 * before[i].size())) << trainer->name(i);
        const double size = gradient_norm(hu.product, pool) * gradient_norm(v, pool);
        EXPECT_NEAR(dot(v, hu.product), dot(u, hv.product), 1e-3 * size) << family;
        EXPECT_LT(hu.relative_error, 0.05) << family;
        // Where the loss curves most a difference of losses stands out against rounding: along H u, and across it and H H u.
        const std::vector<core::Tensor> a = unit(hu.product, pool), b = unit(hessian_product(*trainer, text.sequences(), a).product, pool);
        const HessianProduct ha = hessian_product(*trainer, text.sequences(), a), hb = hessian_product(*trainer, text.sequences(), b);
        EXPECT_LT(ha.relative_error, 0.05) << family;
        EXPECT_NEAR(mixed_difference(*trainer, text, a, a, 0.002), dot(a, ha.product), 0.02 * gradient_norm(ha.product, pool)) << family;
        EXPECT_NEAR(mixed_difference(*trainer, text, a, b, 0.002), dot(a, hb.product), 0.02 * gradient_norm(hb.product, pool)) << family;
    }
}

/// Only the last norm, whose Hessian is small enough to be written down whole.
struct NormOnly : Objective {
    bool trains(std::string_view weight) const override { return weight == "output_norm.weight"; }
};

TEST(Hessian, DiagonalAndTraceAgreeWithWholeColumns) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(2);
    const Text text;
    const auto trainer = derivatives_of(model, pool, count, context, std::make_shared<NormOnly>());
    ASSERT_EQ(trainer->trained().size(), 1U);
    const std::vector<core::Tensor> unit{formats::make_tensor(formats::get("f32"), trainer->trained()[0].shape)};
    std::vector<double> diagonal;
    double trace = 0;
    for (float& one : numbers(unit[0])) {
        one = 1;
        const HessianProduct column = hessian_product(*trainer, text.sequences(), unit, 0.02);
        diagonal.push_back(static_cast<double>(numbers(column.product[0])[diagonal.size()]));
        trace += diagonal.back();
        one = 0;
    }
    const HessianDiagonal estimate = hessian_diagonal(*trainer, text.sequences(), 200, 1);
    EXPECT_GT(estimate.trace_error[0], 0);
    EXPECT_NEAR(estimate.trace[0], trace, 4 * estimate.trace_error[0] + 0.01 * std::abs(trace));
    double product = 0, ours = 0, theirs = 0;
    for (std::size_t i = 0; i < diagonal.size(); ++i) {
        const double value = static_cast<double>(numbers(estimate.diagonal[0])[i]);
        product += diagonal[i] * value, ours += diagonal[i] * diagonal[i], theirs += value * value;
    }
    EXPECT_GT(product / std::sqrt(ours * theirs), 0.9);
    EXPECT_THROW(hessian_diagonal(*trainer, text.sequences(), 0, 1), core::Error);
}

}  // namespace
}  // namespace tailor::train
