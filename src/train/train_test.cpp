// Training: windows of tokens, and whole small models that must learn a text by heart.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <set>

#include "core/error.h"
#include "files/registry.h"
#include "models/tiny_family.h"
#include "models/tiny_model.h"
#include "train/gradient_norm.h"
#include "train/token_windows.h"
#include "train/trainer.h"

namespace tailor::train {
namespace {

TEST(GradientNorm, OfAllGradients) {
    core::Pool pool(2);
    const core::Tensor a = formats::make_tensor(formats::get("f32"), {40000}), b = formats::make_tensor(formats::get("f32"), {1, 2});
    a.row_f32(0)[0] = 3, a.row_f32(0)[39999] = 4, b.row_f32(0)[1] = 12;
    const std::vector<core::Tensor> gradients{a, b};
    EXPECT_DOUBLE_EQ(gradient_norm(gradients, pool), 13);
    EXPECT_FALSE(has_not_finite(a, pool));
    a.row_f32(0)[39998] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(has_not_finite(a, pool));
}

TEST(TokenWindows, EveryTokenIsPredictedOncePerPass) {
    std::vector<text::TokenId> tokens;
    for (std::int32_t i = 0; i < 32; ++i) tokens.push_back(i);
    TokenWindows windows(tokens, 5, 3);
    ASSERT_EQ(windows.count(), 6);
    std::vector<std::int32_t> ids, targets, again, targets_again;
    for (int i = 0; i < 6; ++i) windows.next(ids, targets);
    EXPECT_EQ(std::set<std::int32_t>(targets.begin(), targets.end()).size(), 30U);
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(targets[i], ids[i] + 1);
    for (int i = 0; i < 6; ++i) windows.next(again, targets_again);
    EXPECT_NE(ids, again) << "the second pass has the order of the first";
    std::vector<std::int32_t> with_bos, unused;
    windows.next(with_bos, unused, 99);
    EXPECT_EQ(with_bos[0], 99);
    EXPECT_THROW(TokenWindows(tokens, 32, 1), core::Error);
    TokenWindows sought(tokens, 5, 3);
    for (const std::int64_t at : {14, 6, 3, 0}) {
        sought.seek(at);
        TokenWindows walked(tokens, 5, 3);
        std::vector<std::int32_t> a, b, rest;
        for (std::int64_t i = 0; i < at; ++i) walked.next(rest, rest);
        walked.next(a, rest), sought.next(b, rest);
        EXPECT_EQ(a, b) << at;
    }
    EXPECT_EQ(sought.identity(), windows.identity());
    EXPECT_NE(sought.identity(), TokenWindows(tokens, 5, 4).identity());
}

/// A text that repeats: after a few tokens the next one is certain.
void repeating(const TrainerOptions& options, std::int64_t vocabulary, std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets) {
    for (std::int64_t s = 0; s < options.batch; ++s)
        for (std::int64_t t = 0; t < options.context; ++t) {
            const auto token = [&](std::int64_t at) { return static_cast<std::int32_t>((at * 7 + s) % 11 % vocabulary); };
            ids.push_back(token(t)), targets.push_back(token(t + 1));
        }
}

double loss_after(const files::File& file, int threads, int steps, bool bf16 = false) {
    core::Pool pool(threads);
    const TrainerOptions options{.batch = 3, .context = 12, .bf16 = bf16};
    Trainer trainer(file, pool, options);
    trainer.initialize(1);
    std::vector<std::int32_t> ids, targets;
    repeating(options, 40, ids, targets);
    for (int i = 0; i < steps; ++i) trainer.step(ids, targets, 0.01);
    return trainer.loss(ids, targets);
}

TEST(Trainer, LearnsATextByHeartWithTheSameBitsForAnyThreads) {
    const models::testing::TinyModel model("llama", 2);
    const double before = loss_after(model, 1, 0), after = loss_after(model, 1, 60);
    EXPECT_NEAR(before, std::log(40.0), 0.2);
    EXPECT_LT(after, 0.05);
    const double other = loss_after(model, 2, 60);
    EXPECT_EQ(0, std::memcmp(&after, &other, sizeof after));
}

TEST(Trainer, LearnsInBf16AsInF32) {
    if (cpu::active_isa() < cpu::Isa::avx512 || !cpu::has_avx512_bf16()) GTEST_SKIP() << "this processor does not multiply bf16";
    const models::testing::TinyModel model("llama", 2);
    for (const int steps : {0, 10, 20}) {
        const double exact = loss_after(model, 2, steps), rounded = loss_after(model, 2, steps, true);
        EXPECT_NE(exact, rounded) << "nothing was rounded";
        EXPECT_NEAR(rounded, exact, 0.01 + 0.02 * exact) << "after " << steps << " steps";
    }
    const double one = loss_after(model, 1, 5, true), two = loss_after(model, 2, 5, true);
    EXPECT_EQ(0, std::memcmp(&one, &two, sizeof one));
}

TEST(Trainer, OtherKindsOfLayersLearnToo) {
    using models::testing::Parts;
    for (const auto& [architecture, parts] : {std::pair{"mamba", Parts::least}, {"llama", Parts::experts}, {"rwkv7", Parts::least}, {"gemma2", Parts::least}}) {
        const auto file = models::testing::make_tiny_family(architecture, parts);
        core::Pool pool(2);
        const TrainerOptions options{.batch = 2, .context = 12};
        Trainer trainer(*file, pool, options);
        std::vector<std::int32_t> ids, targets;
        repeating(options, 40, ids, targets);
        const double before = trainer.loss(ids, targets);
        for (int i = 0; i < 30; ++i) trainer.step(ids, targets, 0.005);
        EXPECT_LT(trainer.loss(ids, targets), 0.5 * before) << architecture;
    }
}

TEST(Trainer, BatchesAddedUpAreOneLargeBatch) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(2);
    TrainerOptions large{.batch = 4, .context = 6}, small{.batch = 1, .context = 6, .accumulate = 4};
    Trainer one(model, pool, large), four(model, pool, small);
    std::vector<std::int32_t> ids, targets;
    repeating(large, 40, ids, targets);
    targets[3] = -1;
    for (int i = 0; i < 4; ++i) {
        const Step a = one.step(ids, targets, 0.01), b = four.step(ids, targets, 0.01);
        EXPECT_NEAR(a.loss, b.loss, 1e-5) << i;
        EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-4 * a.gradient_norm) << i;
    }
    EXPECT_LT(four.arena_bytes(), one.arena_bytes());
}

TEST(Trainer, StopsAtNumbersThatAreNotFiniteAndNamesThem) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(1);
    const TrainerOptions options{.batch = 1, .context = 4};
    Trainer trainer(model, pool, options);
    trainer.step({1, 2, 3, 4}, {2, 3, 4, 5}, 1e39);
    const auto message_of = [](const auto& body) -> std::string {
        try {
            body();
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), core::ErrorKind::numeric);
            return error.what();
        }
        return "";
    };
    const std::string message = message_of([&] { trainer.step({1, 2, 3, 4}, {2, 3, 4, 5}, 0.01); });
    EXPECT_NE(message.find("step 2: the loss is"), std::string::npos) << message;
    EXPECT_NE(message.find(".weight has a number that is not finite"), std::string::npos) << message;
    const std::string path = testing::TempDir() + "infinite-" + std::to_string(::getpid());
    EXPECT_NE(message_of([&] { trainer.save(path, {}); }).find("step 1 left numbers in "), std::string::npos);
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << "a checkpoint that is not good was written";
}

TEST(Trainer, CountsOnlyTargetsThatAreThere) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(1);
    Trainer trainer(model, pool, {.batch = 1, .context = 4});
    const double all = trainer.loss({1, 2, 3, 4}, {2, 3, 4, 5}), first = trainer.loss({1, 2, 3, 4}, {2, -1, -1, -1}), rest = trainer.loss({1, 2, 3, 4}, {-1, 3, 4, 5});
    EXPECT_NEAR(all, (first + 3 * rest) / 4, 1e-6);
}

TEST(Trainer, RefusesTokensThatTheModelDoesNotHave) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(1);
    Trainer trainer(model, pool, {.batch = 1, .context = 2});
    EXPECT_THROW(trainer.loss({1, 40}, {2, 3}), core::Error);
    EXPECT_THROW(trainer.loss({1, -1}, {2, 3}), core::Error);
    EXPECT_THROW(trainer.loss({1, 2}, {2, 40}), core::Error);
    EXPECT_THROW(trainer.loss({1}, {2}), core::Error);
}

TEST(Trainer, WritesWhatItLearned) {
    const models::testing::TinyModel model("llama", 1);
    core::Pool pool(1);
    const TrainerOptions options{.batch = 2, .context = 8};
    std::vector<std::int32_t> ids, targets;
    repeating(options, 40, ids, targets);
    Trainer trainer(model, pool, options);
    for (int i = 0; i < 3; ++i) trainer.step(ids, targets, 0.01);
    const std::string path = testing::TempDir() + "trained-" + std::to_string(::getpid()) + ".gguf";
    trainer.write(path);
    {
        const std::unique_ptr<files::File> file = files::kind_for(path).open(path);
        Trainer again(*file, pool, options);
        EXPECT_EQ(again.loss(ids, targets), trainer.loss(ids, targets));
        EXPECT_EQ(again.parameters(), trainer.parameters());
    }
    std::remove(path.c_str());
}

}  // namespace
}  // namespace tailor::train
