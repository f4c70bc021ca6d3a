// Optimizers: each against plain loops over its formulas in double, the same bits for any threads, and whether it makes a model better.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "models/tiny_model.h"
#include "train/optimizers/registry.h"
#include "train/trainer.h"

namespace tailor::train::optimizers {
namespace {

using Numbers = std::vector<double>;

/// Formulas as they stand in the papers, for matrices [rows, columns] one after the other, or a vector of one row.
struct Plain {
    std::int64_t rows, columns;
    double rate, decay;
    Numbers w;
    Numbers a, b;  ///< what the optimizer remembers

    void each(const auto& body) {
        for (std::size_t i = 0; i < w.size(); ++i) body(i);
    }

    void adamw(const Numbers& g, int t) {
        each([&](std::size_t i) {
            a[i] = 0.9 * a[i] + 0.1 * g[i], b[i] = 0.95 * b[i] + 0.05 * g[i] * g[i];
            w[i] -= rate * (a[i] / (1 - std::pow(0.9, t)) / (std::sqrt(b[i] / (1 - std::pow(0.95, t))) + 1e-8) + decay * w[i]);
        });
    }
    void sgd(const Numbers& g, int) {
        each([&](std::size_t i) { a[i] = 0.9 * a[i] + g[i], w[i] -= rate * (a[i] + decay * w[i]); });
    }
    void nesterov(const Numbers& g, int) {
        each([&](std::size_t i) { a[i] = 0.9 * a[i] + g[i], w[i] -= rate * (g[i] + 0.9 * a[i] + decay * w[i]); });
    }
    void lion(const Numbers& g, int) {
        each([&](std::size_t i) {
            const double c = 0.9 * a[i] + 0.1 * g[i];
            w[i] -= rate * ((c > 0 ? 1 : c < 0 ? -1 : 0) + decay * w[i]);
            a[i] = 0.99 * a[i] + 0.01 * g[i];
        });
    }
    void adafactor(const Numbers& g, int t) {
        const double kept = 1 - std::pow(t, -0.8);
        const auto n = static_cast<std::size_t>(rows * columns), k = static_cast<std::size_t>(columns), m = static_cast<std::size_t>(rows);
        for (std::size_t at = 0; at < w.size(); at += n) {
            Numbers v(n);
            if (m == 1) {
                for (std::size_t i = 0; i < n; ++i) v[i] = a[i] = kept * a[i] + (1 - kept) * (g[i] * g[i] + 1e-30);
            } else {
                Numbers r(m), c(k);
                for (std::size_t i = 0; i < n; ++i) r[i / k] += g[at + i] * g[at + i] + 1e-30, c[i % k] += g[at + i] * g[at + i] + 1e-30;
                double total = 0;
                for (std::size_t i = 0; i < m; ++i) total += a[at + i] = kept * a[at + i] + (1 - kept) * r[i];
                for (std::size_t j = 0; j < k; ++j) b[at + j] = kept * b[at + j] + (1 - kept) * c[j];
                for (std::size_t i = 0; i < n; ++i) v[i] = a[at + i / k] * b[at + i % k] / total;
            }
            double update = 0, size = 0;
            for (std::size_t i = 0; i < n; ++i) update += g[at + i] * g[at + i] / v[i], size += w[at + i] * w[at + i];
            update = std::sqrt(update / static_cast<double>(n)), size = std::sqrt(size / static_cast<double>(n));
            for (std::size_t i = 0; i < n; ++i)
                w[at + i] -= rate * (std::max(1e-3, size) * g[at + i] / std::sqrt(v[i]) / std::max(1.0, update) + decay * w[at + i]);
        }
    }
    void muon(const Numbers& g, int t) {
        if (rows == 1) return adamw(g, t);
        const auto m = static_cast<std::size_t>(rows), k = static_cast<std::size_t>(columns), n = m * k;
        for (std::size_t at = 0; at < w.size(); at += n) {
            Numbers x(n);
            double norm = 0;
            for (std::size_t i = 0; i < n; ++i) a[at + i] = 0.95 * a[at + i] + g[at + i], x[i] = g[at + i] + 0.95 * a[at + i], norm += x[i] * x[i];
            for (double& v : x) v /= std::sqrt(norm);
            for (int round = 0; round < 5; ++round) {
                Numbers gram(m * m), both(m * m), next(n);
                for (std::size_t i = 0; i < m; ++i)
                    for (std::size_t j = 0; j < m; ++j)
                        for (std::size_t p = 0; p < k; ++p) gram[i * m + j] += x[i * k + p] * x[j * k + p];
                for (std::size_t i = 0; i < m; ++i)
                    for (std::size_t j = 0; j < m; ++j)
                        for (std::size_t p = 0; p < m; ++p) both[i * m + j] += gram[i * m + p] * gram[p * m + j];
                for (std::size_t i = 0; i < m; ++i)
                    for (std::size_t j = 0; j < k; ++j) {
                        next[i * k + j] = 3.4445 * x[i * k + j];
                        for (std::size_t p = 0; p < m; ++p) next[i * k + j] += (-4.7750 * gram[i * m + p] + 2.0315 * both[i * m + p]) * x[p * k + j];
                    }
                x = next;
            }
            for (std::size_t i = 0; i < n; ++i) w[at + i] -= rate * (0.2 * std::sqrt(static_cast<double>(std::max(rows, columns))) * x[i] + decay * w[at + i]);
        }
    }
};

using Step = void (Plain::*)(const Numbers&, int);
struct Reference {
    const char* name;
    Step step;
    double rate;
    double tolerance;  ///< of a weight; weights are about 1
};
// A weight of adamw-8bit differs by the coarseness of its moments: a step of 0.01 by a few hundredths of itself, five times.
const Reference references[] = {{"adamw", &Plain::adamw, 0.01, 2e-6},      {"adamw-8bit", &Plain::adamw, 0.01, 1.5e-3}, {"sgd", &Plain::sgd, 0.01, 2e-6},
                                {"nesterov", &Plain::nesterov, 0.01, 2e-6}, {"lion", &Plain::lion, 0.01, 2e-6},          {"adafactor", &Plain::adafactor, 0.05, 2e-6},
                                {"muon", &Plain::muon, 0.01, 1e-5}};

/// Five steps; returns the weights, and compares each with the plain loops where those are given.
std::vector<float> five_steps(const Optimizer& optimizer, const core::Shape& shape, int threads, const Reference* reference) {
    core::Pool pool(threads);
    const Parameter parameter{"blk.0.ffn_up.weight", shape};
    State state(optimizer.state(parameter));
    const auto n = static_cast<std::size_t>(parameter.numbers());
    std::mt19937 random(7);
    const auto number = [&] { return static_cast<float>(static_cast<double>(random()) * 0x1p-31 - 1); };
    std::vector<float> weights(n), gradient(n);
    for (float& w : weights) w = number();
    const std::int64_t rows = parameter.is_matrix() ? parameter.rows() : 1;
    Plain plain{rows, parameter.columns(), reference ? reference->rate : 0.01, 0.1, Numbers(weights.begin(), weights.end()), Numbers(n), Numbers(n)};
    for (int step = 1; step <= 5; ++step) {
        Numbers scaled;
        for (float& g : gradient) g = 0.3f + number() * number(), scaled.push_back(0.5 * static_cast<double>(g));
        optimizer.update({parameter, weights.data(), gradient.data(), 0.5, plain.rate, plain.decay, step, state, pool, cpu::active_isa()});
        if (!reference) continue;
        (plain.*reference->step)(scaled, step);
        double worst = 0;
        for (std::size_t i = 0; i < n; ++i) worst = std::max(worst, std::abs(static_cast<double>(weights[i]) - plain.w[i]));
        EXPECT_LT(worst, reference->tolerance) << optimizer.name << " " << shape.text() << " step " << step;
    }
    return weights;
}

TEST(Optimizers, FollowTheirFormulas) {
    for (const Optimizer* optimizer : all()) {
        const auto* const reference = std::find_if(std::begin(references), std::end(references), [&](const Reference& r) { return r.name == optimizer->name; });
        ASSERT_NE(reference, std::end(references)) << "no plain loops for " << optimizer->name;
        for (const core::Shape& shape : {core::Shape{9}, {6, 10}, {70, 33}, {2, 5, 7}, {1, 300}}) five_steps(*optimizer, shape, 2, reference);
    }
}

TEST(Optimizers, GiveTheSameBitsForAnyThreads) {
    for (const Optimizer* optimizer : all())
        for (const core::Shape& shape : {core::Shape{40000}, {200, 170}}) {
            const std::vector<float> one = five_steps(*optimizer, shape, 1, nullptr), three = five_steps(*optimizer, shape, 3, nullptr);
            EXPECT_EQ(0, std::memcmp(one.data(), three.data(), 4 * one.size())) << optimizer->name;
        }
}

TEST(Optimizers, GradientsOfZeroLeaveFiniteWeights) {
    core::Pool pool(1);
    for (const Optimizer* optimizer : all())
        for (const core::Shape& shape : {core::Shape{5}, {4, 6}}) {
            const Parameter parameter{"w", shape};
            State state(optimizer->state(parameter));
            std::vector<float> weights(24, 1), gradient(24, 0);
            for (int step = 1; step <= 3; ++step) optimizer->update({parameter, weights.data(), gradient.data(), 1, 0.01, 0, step, state, pool, cpu::active_isa()});
            for (const float w : weights) EXPECT_EQ(w, 1) << optimizer->name << " " << shape.text();
        }
}

TEST(Optimizers, EachLowersTheLossOfATinyModel) {
    const models::testing::TinyModel model("llama", 2);
    core::Pool pool(2);
    for (const Optimizer* optimizer : all()) {
        TrainerOptions options;
        options.batch = 2, options.context = 12, options.optimizer = optimizer->name, options.weight_decay = optimizer->weight_decay;
        Trainer trainer(model, pool, options);
        trainer.initialize(1);
        std::vector<std::int32_t> ids, targets;
        for (std::int32_t i = 0; i < 24; ++i) ids.push_back(i * 7 % 11), targets.push_back((i + 1) * 7 % 11);
        const double before = trainer.loss(ids, targets);
        for (int i = 0; i < 60; ++i) trainer.step(ids, targets, 2 * optimizer->rate);
        EXPECT_LT(trainer.loss(ids, targets), 0.8 * before) << optimizer->name;
    }
}

TEST(Optimizers, UnknownNamesAreRefused) {
    EXPECT_THROW(get("adam"), core::Error);
    EXPECT_NE(names().find("muon"), std::string::npos);
}

}  // namespace
}  // namespace tailor::train::optimizers
