// Training under policies of what is kept for the way back: the same course where they are exact, one as good where they round.
#include "graph/saving.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "graph/policies/registry.h"
#include "models/tiny_family.h"
#include "models/tiny_model.h"
#include "train/trainer.h"

namespace tailor::train {
namespace {

constexpr std::int64_t batch = 8, context = 16;

/// Texts that repeat, another for every step: after a few tokens the next one is certain.
void text_of(int step, std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets) {
    ids.clear(), targets.clear();
    for (std::int64_t s = 0; s < batch; ++s)
        for (std::int64_t t = 0; t < context; ++t) {
            const auto token = [&](std::int64_t at) { return static_cast<std::int32_t>((at * 7 + s * 5 + step * 3) % 13); };
            ids.push_back(token(t)), targets.push_back(token(t + 1));
        }
}

struct Course {
    std::vector<double> losses, norms;
    double held_out = 0;
    std::int64_t arena_bytes = 0;
    std::string summary;
};

Course course(const files::File& file, const graph::SavingOptions& saving, int steps) {
    core::Pool pool(1);
    TrainerOptions options{.batch = batch, .context = context};
    options.saving = saving;
    Trainer trainer(file, pool, options);
    trainer.initialize(3);
    Course result;
    std::vector<std::int32_t> ids, targets;
    for (int i = 0; i < steps; ++i) {
        text_of(i, ids, targets);
        const Step step = trainer.step(ids, targets, 0.005);
        result.losses.push_back(step.loss), result.norms.push_back(step.gradient_norm);
    }
    text_of(steps, ids, targets);
    result.held_out = trainer.loss(ids, targets), result.arena_bytes = trainer.arena_bytes(), result.summary = trainer.saving_summary();
    return result;
}

class TrainingUnderPolicies : public testing::TestWithParam<const graph::policies::Policy*> {};

TEST_P(TrainingUnderPolicies, LearnsAsWell) {
    const models::testing::TinyModel model("llama", 1);
    constexpr int steps = 30;
    const graph::policies::Policy& policy = *GetParam();
    const Course kept = course(model, {}, steps), other = course(model, {.policies = std::string(policy.name)}, steps);
    ASSERT_LT(kept.losses.back(), 0.5 * kept.losses.front());
    if (policy.exact) {
        EXPECT_EQ(kept.losses, other.losses);
        EXPECT_EQ(kept.norms, other.norms);
        EXPECT_EQ(kept.held_out, other.held_out);
    } else {
        EXPECT_NE(kept.norms, other.norms) << "nothing was rounded";
        EXPECT_NEAR(kept.losses.front(), other.losses.front(), 0) << "the way forth is exact";
        EXPECT_LT(other.held_out, kept.held_out + (policy.name == "int8" ? 0.05 : 0.5));
    }
    if (policy.name != "keep") {
        EXPECT_LT(other.arena_bytes, kept.arena_bytes) << other.summary;
    }
}

INSTANTIATE_TEST_SUITE_P(Policies, TrainingUnderPolicies, testing::ValuesIn(graph::policies::all().begin(), graph::policies::all().end()), [](const auto& info) {
    std::string name(info.param->name);
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

TEST(ForwardOnly, GivesTheLossOfTheStep) {
    using models::testing::Parts;
    for (const auto& [architecture, parts] : {std::pair{"llama", Parts::least}, {"gemma2", Parts::least}, {"mamba", Parts::least}, {"rwkv7", Parts::least}, {"llama", Parts::experts}}) {
        const auto file = models::testing::make_tiny_family(architecture, parts);
        core::Pool pool(1);
        for (const std::int64_t loss_rows : {0, 40}) {
            TrainerOptions options{.batch = batch, .context = context};
            options.saving = {.policies = "recompute", .loss_rows = loss_rows};
            Trainer trainer(*file, pool, options);
            std::vector<std::int32_t> ids, targets;
            text_of(0, ids, targets);
            // Before and after, since it runs in the memory of the step and with its states.
            const double before = trainer.loss(ids, targets), again = trainer.loss(ids, targets);
            EXPECT_EQ(before, again);
            EXPECT_EQ(before, trainer.step(ids, targets, 1e-4).loss) << architecture;
            const double after = trainer.loss(ids, targets);
            EXPECT_NE(before, after) << "it does not see that weights moved";
            EXPECT_EQ(after, trainer.step(ids, targets, 1e-4).loss) << architecture;
        }
    }
}

TEST(OptimizerOnDisk, ChangesNothing) {
    const models::testing::TinyModel model("llama", 1);
    for (const char* name : {"adamw", "adafactor"}) {
        core::Pool pool(1);
        TrainerOptions options{.batch = batch, .context = context, .optimizer = name};
        Trainer one(model, pool, options);
        options.optimizer_on_disk = true;
        Trainer other(model, pool, options);
        std::vector<std::int32_t> ids, targets;
        for (int i = 0; i < 5; ++i) {
            text_of(i, ids, targets);
            EXPECT_EQ(one.step(ids, targets, 0.01).gradient_norm, other.step(ids, targets, 0.01).gradient_norm) << name << ", step " << i;
        }
        options.saving.folder = "/no/such/folder";
        EXPECT_THROW(Trainer(model, pool, options), core::Error);
    }
}

TEST(MemoryBudget, IsKeptAndChangesNothing) {
    const models::testing::TinyModel model("llama", 1);
    const Course kept = course(model, {}, 4), least = course(model, {.policies = "recompute"}, 4);
    const std::int64_t budget = (kept.arena_bytes + 2 * least.arena_bytes) / 3;
    const Course fitted = course(model, {.budget_bytes = budget}, 4);
    EXPECT_LE(fitted.arena_bytes, budget);
    EXPECT_EQ(fitted.losses, kept.losses);
    EXPECT_EQ(fitted.norms, kept.norms);
    EXPECT_NE(fitted.summary.find("recompute"), std::string::npos) << fitted.summary;
    EXPECT_THROW(course(model, {.budget_bytes = 1000}, 1), core::Error);
}

}  // namespace
}  // namespace tailor::train
