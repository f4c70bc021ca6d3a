// Training with rounded weights: what is written is what was trained, to the bit, for every kind of scale; ternary weights learn; and a run that is resumed
// has the scales of one that was not.
#include "train/rounding.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "formats/registry.h"
#include "models/tiny_model.h"
#include "train/trainer.h"

namespace tailor::train {
namespace {

using models::testing::TinyModel;

constexpr std::int64_t batch = 2, context = 12;

/// A model whose feed-forward parts are as wide as the widest block, 256.
class WideModel : public TinyModel {
  public:
    WideModel() : TinyModel("llama", 2) {
        set("feed_forward_length", std::int64_t{256});
        for (const std::string layer : {"blk.0.", "blk.1."}) {
            for (const char* part : {"ffn_gate", "ffn_up"}) add(layer + part + ".weight", {256, models::testing::dim});
            add(layer + "ffn_down.weight", {models::testing::dim, 256});
        }
    }
};

std::vector<std::int32_t> some_ids() {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < batch * context; ++i) ids.push_back(static_cast<std::int32_t>(i * 7 % 11));
    return ids;
}

std::vector<std::int32_t> next_of(const std::vector<std::int32_t>& ids) {
    std::vector<std::int32_t> targets(ids.begin() + 1, ids.end());
    targets.push_back(0);
    return targets;
}

std::shared_ptr<Rounding> rounding(const char* format, ScaleRule scales = ScaleRule::search, std::int64_t refresh = 4) {
    const formats::Format& given = formats::get(format);
    RoundingOptions options{.formats = {}, .scales = scales, .refresh = refresh};
    for (const char* layer : {"blk.0.", "blk.1."}) {
        options.formats[std::string(layer) + "ffn_down.weight"] = &given;
        if (given.values_per_block == 32)
            for (const char* part : {"attn_q", "attn_output", "ffn_up"}) options.formats[std::string(layer) + part + ".weight"] = &given;
    }
    if (given.values_per_block == 32) options.formats["token_embd.weight"] = &given;
    return std::make_shared<Rounding>(options);
}

TrainerOptions options_with(std::shared_ptr<Objective> objective) { return {.batch = batch, .context = context, .optimizer = "adamw", .objective = std::move(objective)}; }

/// The trained model as its file would hold it, decoded.
TinyModel as_written(const Trainer& trainer, const Rounding& rounding) {
    WideModel model;
    for (const files::TensorInfo& info : std::vector<files::TensorInfo>(model.tensors())) {
        core::Tensor weight = trainer.held(info.name);
        if (rounding.rounds(info.name)) {
            const core::Tensor packed = rounding.written(info.name, info.shape);
            EXPECT_EQ(packed.format, &rounding.format(info.name));
            weight = formats::make_tensor(formats::get("f32"), info.shape);
            for (std::int64_t r = 0; r < info.shape.rows(); ++r) packed.format->decode.functions[0](packed.row(r), weight.row_f32(r), info.shape.width());
        }
        model.put(info.name, weight);
    }
    return model;
}

TEST(Rounding, WhatIsWrittenIsWhatWasTrained) {
    core::Pool pool(2);
    const std::vector<std::int32_t> ids = some_ids(), targets = next_of(ids);
    for (const char* format : {"q4_0", "q8_0", "q4_1", "mxfp4", "iq4_nl", "tq1_0", "tq2_0", "q2_k", "q3_k", "q4_k", "q6_k"})
        for (const ScaleRule scales : {ScaleRule::search, ScaleRule::plain, ScaleRule::learned}) {
            if (scales == ScaleRule::learned && std::string_view(format) == "mxfp4") continue;
            const WideModel model;
            const auto objective = rounding(format, scales);
            Trainer trainer(model, pool, options_with(objective));
            const double before = trainer.loss(ids, targets);
            for (int i = 0; i < 6; ++i) trainer.step(ids, targets, 2e-3);
            const double after = trainer.loss(ids, targets);
            EXPECT_LT(after, before) << format;
            const TinyModel written = as_written(trainer, *objective);
            Trainer plain(written, pool, options_with({}));
            EXPECT_EQ(plain.loss(ids, targets), after) << format;
            EXPECT_EQ(static_cast<bool>(trainer.weight("blk.0.ffn_down.weight.factors")), scales == ScaleRule::learned);
        }
}

TEST(Rounding, TernaryWeightsLearnWhatRoundingLost) {
    core::Pool pool(2);
    const std::vector<std::int32_t> ids = some_ids(), targets = next_of(ids);
    const WideModel model;
    Trainer learned(model, pool, options_with({}));
    for (int i = 0; i < 40; ++i) learned.step(ids, targets, 5e-3);
    const double whole = learned.loss(ids, targets);
    WideModel taught;
    for (const files::TensorInfo& info : std::vector<files::TensorInfo>(taught.tensors())) taught.put(info.name, learned.held(info.name));
    Trainer trainer(taught, pool, options_with(rounding("tq2_0")));
    const double rounded = trainer.loss(ids, targets);
    EXPECT_GT(rounded, whole + 0.01) << "three levels cost something";
    for (int i = 0; i < 60; ++i) trainer.step(ids, targets, 3e-3);
    EXPECT_LT(trainer.loss(ids, targets), whole + 0.3 * (rounded - whole)) << "and training gets it back";
}

TEST(Rounding, GoesOnFromACheckpointToTheBit) {
    core::Pool pool(2);
    const std::vector<std::int32_t> ids = some_ids(), targets = next_of(ids);
    const std::string path = testing::TempDir() + "tailor_" + std::to_string(::getpid()) + "_rounding.checkpoint";
    for (const auto& [format, scales] : {std::pair{"q2_k", ScaleRule::search}, {"q2_k", ScaleRule::learned}, {"tq2_0", ScaleRule::search}, {"q4_0", ScaleRule::plain}}) {
        const WideModel model;
        Trainer whole(model, pool, options_with(rounding(format, scales)));
        for (int i = 0; i < 9; ++i) whole.step(ids, targets, 2e-3);
        Trainer first(model, pool, options_with(rounding(format, scales)));
        for (int i = 0; i < 6; ++i) first.step(ids, targets, 2e-3);
        first.save(path, core::Json());
        Trainer second(model, pool, options_with(rounding(format, scales)));
        second.restore(Checkpoint(path));
        EXPECT_EQ(second.loss(ids, targets), first.loss(ids, targets)) << "scales lie between two searches";
        for (int i = 0; i < 3; ++i) second.step(ids, targets, 2e-3);
        EXPECT_EQ(second.loss(ids, targets), whole.loss(ids, targets)) << format;
        Trainer other(model, pool, options_with(rounding("q8_0", scales)));
        EXPECT_THROW(other.restore(Checkpoint(path)), core::Error) << "the checkpoint of another objective";
    }
    ::unlink(path.c_str());
}

TEST(Rounding, RefusesWhatItCannotTrain) {
    const auto with = [](const char* format, ScaleRule scales, const char* weight) {
        RoundingOptions options{.formats = {}, .scales = scales};
        options.formats[weight] = &formats::get(format);
        return std::make_shared<Rounding>(options);
    };
    EXPECT_THROW(with("iq2_xs", ScaleRule::search, "blk.0.ffn_down.weight"), core::Error);
    EXPECT_THROW(with("mxfp4", ScaleRule::learned, "blk.0.ffn_down.weight"), core::Error);
    EXPECT_THROW(scale_rule("guessed"), core::Error);
    core::Pool pool(1);
    const WideModel model;
    EXPECT_THROW(Trainer(model, pool, options_with(with("q4_0", ScaleRule::search, "blk.9.ffn_down.weight"))), core::Error) << "no such weight";
    EXPECT_THROW(Trainer(model, pool, options_with(with("q4_k", ScaleRule::search, "blk.0.attn_q.weight"))), core::Error) << "rows of 32 values";
}

}  // namespace
}  // namespace tailor::train
