// Adapters in training: they begin at the model as it is, learn over frozen weights of any format, and do the same when they are merged.
#include "train/adapters/low_rank.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "train/trainer.h"

namespace tailor::train::adapters {
namespace {

std::unique_ptr<files::File> base(const char* format) { return files::make_synthetic("llama-tiny", formats::get(format)); }

void repeating(std::int64_t rows, std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets) {
    for (std::int32_t t = 0; t < rows; ++t) ids.push_back(t * 7 % 11), targets.push_back((t + 1) * 7 % 11);
}

struct Training {
    std::shared_ptr<LowRank> adapter;
    std::unique_ptr<Trainer> trainer;
    std::vector<std::int32_t> ids, targets;

    Training(const files::File& file, core::Pool& pool, LowRankOptions options, bool pack = true) : adapter(std::make_shared<LowRank>(options)) {
        TrainerOptions settings{.batch = 2, .context = 12, .weight_decay = 0, .pack = pack};
        settings.objective = adapter;
        trainer = std::make_unique<Trainer>(file, pool, settings);
        repeating(24, ids, targets);
    }
    double learn(int steps, double rate) {
        for (int i = 0; i < steps; ++i) trainer->step(ids, targets, rate);
        return trainer->loss(ids, targets);
    }
};

TEST(LowRank, LearnsOverFrozenWeightsOfAnyFormat) {
    core::Pool pool(2);
    for (const char* const format : {"f32", "f16", "q8_0", "q4_0", "iq4_nl"}) {
        const auto file = base(format);
        for (const AdapterKind* kind : all()) {
            Training training(*file, pool, {.kind = kind, .rank = 8});
            EXPECT_EQ(training.trainer->parameters(), training.adapter->parameters());
            const double before = training.trainer->loss(training.ids, training.targets), after = training.learn(40, 0.01);
            EXPECT_LT(after, 0.5 * before) << format << " " << kind->name;
        }
    }
}

TEST(LowRank, BeginsAtTheModelAsItIs) {
    core::Pool pool(1);
    const auto file = base("q8_0");
    std::vector<std::int32_t> ids, targets;
    repeating(24, ids, targets);
    for (const AdapterKind* kind : all()) {
        Training packed(*file, pool, {.kind = kind}), rows(*file, pool, {.kind = kind}, false);
        const double loss = packed.trainer->loss(ids, targets);
        EXPECT_NEAR(loss, rows.trainer->loss(ids, targets), 1e-3 * loss);
        for (const files::Adapter::Pair& pair : packed.adapter->adapter().pairs)
            for (std::int64_t i = 0; i < pair.b.shape.elements(); ++i) ASSERT_EQ(pair.b.row_f32(0)[i], 0) << pair.weight;
    }
    const auto exact = base("f32");
    Trainer whole(*exact, pool, {.batch = 2, .context = 12});
    Training frozen(*exact, pool, {.kind = &get("lora")}, false);
    EXPECT_EQ(frozen.trainer->loss(ids, targets), whole.loss(ids, targets));
}

TEST(LowRank, WhatIsLearnedIsTheSameWhenItIsMerged) {
    core::Pool pool(2);
    for (const AdapterKind* kind : all()) {
        const auto file = base("f16");
        Training training(*file, pool, {.kind = kind, .rank = 8});
        const double loss = training.learn(10, 0.01);
        const files::Adapter finished = training.adapter->finished();
        const std::unique_ptr<files::File> merged = files::merged(*file, finished);
        Trainer whole(*merged, pool, {.batch = 2, .context = 12});
        EXPECT_NEAR(whole.loss(training.ids, training.targets), loss, 1e-4 * loss) << kind->name;
        const core::Tensor& a = finished.pairs[0].a;
        for (std::int64_t i = 0; i < a.shape.elements() && kind->name == "one-bit"; ++i) ASSERT_EQ(std::fabs(a.row_f32(0)[i]), std::fabs(a.row_f32(i / a.shape.width())[0]));
    }
}

TEST(LowRank, GoesOnFromACheckpointToTheBit) {
    core::Pool pool(2);
    const auto file = base("q4_0");
    const std::string path = testing::TempDir() + "adapter-checkpoint-" + std::to_string(::getpid());
    Training whole(*file, pool, {.kind = &get("lora"), .rank = 4}), first(*file, pool, {.kind = &get("lora"), .rank = 4}), second(*file, pool, {.kind = &get("lora"), .rank = 4, .seed = 2});
    const double expected = whole.learn(6, 0.01);
    first.learn(4, 0.01);
    first.trainer->save(path, {});
    second.trainer->restore(Checkpoint(path));
    const double found = second.learn(2, 0.01);
    EXPECT_EQ(0, std::memcmp(&expected, &found, sizeof found));
    const auto other = base("q8_0");
    Training wrong(*other, pool, {.kind = &get("lora"), .rank = 4});
    EXPECT_THROW(wrong.trainer->restore(Checkpoint(path)), core::Error) << "an adapter went on beside other weights";
    std::remove(path.c_str());
}

TEST(LowRank, TakesTheWeightsThatAreMeant) {
    core::Pool pool(1);
    const auto file = base("f32");
    const auto count = [&](const std::string& targets) {
        Training training(*file, pool, {.kind = &get("lora"), .rank = 2, .targets = targets});
        return training.adapter->adapter().pairs.size();
    };
    EXPECT_EQ(count("all"), 14U);  // seven in each of two layers; not output.weight
    EXPECT_EQ(count("attn"), 8U);
    EXPECT_EQ(count("attn_q,ffn_down"), 4U);
    EXPECT_EQ(count("output.weight"), 3U);  // attn_output of each layer, and the output matrix
    try {
        count("attn_z");
        ADD_FAILURE() << "no weight has this name";
    } catch (const core::Error& error) {
        EXPECT_NE(std::string(error.what()).find("blk.0.attn_q.weight"), std::string::npos) << error.what();
    }
    EXPECT_THROW(LowRank({.kind = &get("lora"), .rank = -1}), core::Error);
    EXPECT_THROW(get("none"), core::Error);
}

}  // namespace
}  // namespace tailor::train::adapters
