// Training without gradients: the slope against gradients, weights that come back, rounding that does not lean, runs that go on.
#include "train/zeroth_order.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "models/tiny_model.h"
#include "train/adapters/low_rank.h"
#include "train/trainer.h"

namespace tailor::train {
namespace {

using models::testing::TinyModel;

struct Batch {
    std::vector<std::int32_t> ids, targets;
    Batch() {
        for (std::int32_t t = 0; t < 24; ++t) ids.push_back(t * 7 % 11), targets.push_back((t + 1) * 7 % 11);
    }
};

std::vector<float> numbers(const core::Tensor& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) tensor.format->decode.functions[0](tensor.row(r), values.data() + r * tensor.shape.width(), tensor.shape.width());
    return values;
}

TEST(ZerothOrder, TheSlopeIsTheGradientAlongTheDirection) {
    const TinyModel model("llama", 2);
    core::Pool pool(2);
    const Batch batch;
    ZerothOrder without(model, pool, {.batch = 2, .context = 12});
    TrainerOptions options{.batch = 2, .context = 12, .clip = 0, .weight_decay = 0};
    options.optimizer = "sgd";
    Trainer with(model, pool, options);
    ASSERT_EQ(without.parameters(), with.parameters());
    // The first step of sgd is the gradient, one without it the direction times the slope.
    constexpr double rate = 1e-3;
    const Step step = without.step(batch.ids, batch.targets, rate);
    with.step(batch.ids, batch.targets, rate);
    double along = 0;
    std::int64_t up = 0, count = 0;
    for (const files::TensorInfo& info : model.tensors()) {
        const std::vector<float> before = numbers(model.at(info.name)), moved = numbers(without.weight(info.name)), descended = numbers(with.weight(info.name));
        for (std::size_t i = 0; i < before.size(); ++i) {
            const double shift = static_cast<double>(moved[i]) - static_cast<double>(before[i]);
            ASSERT_NEAR(std::fabs(shift), rate * step.gradient_norm, 1e-6) << info.name;
            along += (shift > 0 ? 1 : -1) * (static_cast<double>(before[i]) - static_cast<double>(descended[i])) / rate;
            up += shift > 0, ++count;
        }
    }
    EXPECT_NEAR(std::fabs(along), step.gradient_norm, 0.02 * step.gradient_norm);
    EXPECT_LT(along, 0) << "the step went up";
    EXPECT_NEAR(static_cast<double>(up) / static_cast<double>(count), 0.5, 0.02);
}

TEST(ZerothOrder, LearnsAndDoesNotDependOnThreads) {
    const TinyModel model("llama", 1);
    const Batch batch;
    const auto loss_after = [&](int threads) {
        core::Pool pool(threads);
        ZerothOrder training(model, pool, {.batch = 2, .context = 12});
        const double before = training.loss(batch.ids, batch.targets);
        for (int i = 0; i < 400; ++i) training.step(batch.ids, batch.targets, 1e-4);
        const double after = training.loss(batch.ids, batch.targets);
        EXPECT_LT(after, 0.85 * before);
        return after;
    };
    const double one = loss_after(1), two = loss_after(2);
    EXPECT_EQ(0, std::memcmp(&one, &two, sizeof one));
}

TEST(ZerothOrder, WeightsComeBackWhereNothingIsLearned) {
    core::Pool pool(2);
    for (const char* const format : {"f32", "f16", "bf16"}) {
        const auto file = files::make_synthetic("llama-tiny", formats::get(format));
        ZerothOrder training(*file, pool, {.batch = 2, .context = 12});
        const Batch batch;
        for (int i = 0; i < 20; ++i) training.step(batch.ids, batch.targets, 0);
        double moved = 0, squares = 0, numbers_squared = 0;
        const std::vector<float> before = numbers(file->read(*file->find("blk.0.ffn_up.weight"))), after = numbers(training.weight("blk.0.ffn_up.weight"));
        for (std::size_t i = 0; i < before.size(); ++i) {
            const double difference = static_cast<double>(after[i]) - static_cast<double>(before[i]);
            moved += difference, squares += difference * difference, numbers_squared += static_cast<double>(before[i]) * static_cast<double>(before[i]);
        }
        const auto count = static_cast<double>(before.size());
        // Sixty moves, each rounded by half a distance between neighbours or so: a walk that grows with the root of their number.
        const double walk = std::sqrt(squares / numbers_squared), most = format == std::string("f32") ? 1e-5 : format == std::string("f16") ? 5e-3 : 4e-2;
        EXPECT_LT(walk, most) << format;
        EXPECT_LT(std::fabs(moved / count), 5 * std::sqrt(squares / count / count) + 1e-9) << format << ": rounding leans to one side";
    }
}

TEST(ZerothOrder, GoesOnFromACheckpointToTheBitAndWritesItsOwnFormats) {
    core::Pool pool(2);
    const auto file = files::make_synthetic("llama-tiny", formats::get("f16"));
    const Batch batch;
    const std::string path = testing::TempDir() + "zeroth-" + std::to_string(::getpid());
    const auto train = [&](ZerothOrder& training, int steps) {
        for (int i = 0; i < steps; ++i) training.step(batch.ids, batch.targets, 1e-5);
        return training.loss(batch.ids, batch.targets);
    };
    const ZerothOrderOptions options{.batch = 2, .context = 12};
    ZerothOrder whole(*file, pool, options), first(*file, pool, options), second(*file, pool, options);
    const double expected = train(whole, 5);
    train(first, 3);
    first.save(path, {});
    second.restore(Checkpoint(path));
    const double found = train(second, 2);
    EXPECT_EQ(0, std::memcmp(&expected, &found, sizeof found));
    ZerothOrder other(*file, pool, {.batch = 2, .context = 12, .seed = 2});
    EXPECT_THROW(other.restore(Checkpoint(path)), core::Error) << "it went on with other directions";
    std::remove(path.c_str());
    whole.write(path + ".gguf");
    {
        const auto written = files::open(path + ".gguf");
        EXPECT_EQ(written->find("blk.0.ffn_up.weight")->format, &formats::get("f16"));
        ZerothOrder again(*written, pool, options);
        EXPECT_EQ(again.loss(batch.ids, batch.targets), expected);
    }
    std::remove((path + ".gguf").c_str());
}

TEST(ZerothOrder, MovesAdaptersBesideFrozenWeights) {
    core::Pool pool(2);
    const auto file = files::make_synthetic("llama-tiny", formats::get("q4_0"));
    const Batch batch;
    ZerothOrderOptions options{.batch = 2, .context = 12, .epsilon = 1e-2, .pack = true};
    const auto adapter = std::make_shared<adapters::LowRank>(adapters::LowRankOptions{.kind = &adapters::get("lora"), .rank = 4});
    options.objective = adapter;
    ZerothOrder training(*file, pool, options);
    EXPECT_EQ(training.parameters(), adapter->parameters());
    const double before = training.loss(batch.ids, batch.targets);
    for (int i = 0; i < 200; ++i) training.step(batch.ids, batch.targets, 3e-3);
    EXPECT_LT(training.loss(batch.ids, batch.targets), 0.95 * before);
    EXPECT_THROW(ZerothOrder(*file, pool, {.epsilon = 0}), core::Error);
}

}  // namespace
}  // namespace tailor::train
