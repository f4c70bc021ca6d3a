// Left-out neurons: how many there are, that the graph computes the same when none are, and what cannot be.
#include "run/sparsity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/comparison.h"

namespace tailor::run {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<LanguageModel> tiny(const char* format = "f32") { return LanguageModel::from_file(files::make_synthetic("llama-tiny", formats::get(format))); }

std::vector<text::TokenId> some_ids(std::int64_t count) {
    std::vector<text::TokenId> ids;
    for (std::int64_t i = 0; i < count; ++i) ids.push_back(static_cast<text::TokenId>((i * i * 31 + 7 * i + 5) % 512));
    return ids;
}

SessionOptions with(const Sparsity& sparsity) {
    SessionOptions options;
    options.rewrite = [&sparsity](const graph::Graph& graph) { return sparsity.apply(graph); };
    return options;
}

TEST(Sparsity, NextToNothingLeftOutChangesNextToNothing) {
    core::Pool pool(2);
    for (const char* const format : {"f32", "f16", "q8_0"}) {
        const auto model = tiny(format);
        Session plain(model, pool, {});
        const Sparsity none(plain, some_ids(64), {1e-6, "cats"}), half(plain, some_ids(64), {0.5, "cats"});
        EXPECT_EQ(model->facts().layers, none.layers());
        Session all(model, pool, with(none)), sparse(model, pool, with(half));
        const Comparison same = compare_steps(all, plain, some_ids(60), 20), less = compare_steps(sparse, plain, some_ids(60), 20);
        EXPECT_LT(same.divergence, format == std::string("q8_0") ? 1e-3 : 1e-7) << format;
        EXPECT_GT(less.divergence, 10 * same.divergence) << format;
    }
}

// Of the gates of the calibration text the wanted share is below the thresholds, layer by layer, by either rule.
TEST(Sparsity, LeavesOutTheShareThatWasAskedFor) {
    core::Pool pool(1);
    const auto model = tiny();
    for (const char* const rule : {"cats", "chess"})
        for (const double share : {0.3, 0.8}) {
            Session plain(model, pool, {});
            const std::vector<text::TokenId> ids = some_ids(100);
            const Sparsity sparsity(plain, ids, {share, rule});
            Session sparse(model, pool, with(sparsity));
            std::int64_t out = 0, all = 0;
            sparse.set_runner([&](graph::Plan& plan, const ops::Batch& batch) {
                plan.run_observed(batch, [&](const graph::Node& node, std::span<const core::Tensor> inputs) {
                    if (!node.op || node.op->name != "sparse_feed_forward") return;
                    for (std::int64_t i = 0; i < inputs[0].shape.width(); ++i, ++all) out += !(std::fabs(inputs[0].row_f32(0)[i]) > inputs[4].row_f32(0)[i]);
                });
            });
            for (const text::TokenId id : ids) sparse.evaluate({&id, 1});
            ASSERT_GT(all, 0) << "no step was sparse";
            // Deeper layers see inputs that sparsity has changed.
            EXPECT_NEAR(share, static_cast<double>(out) / static_cast<double>(all), 0.03) << rule;
        }
}

TEST(Sparsity, PromptsAreReadInFull) {
    core::Pool pool(1);
    const auto model = tiny();
    Session plain(model, pool, {});
    const Sparsity half(plain, some_ids(64), {0.5, "cats"});
    Session sparse(model, pool, with(half));
    const core::Tensor &a = plain.prefill(some_ids(20)), &b = sparse.prefill(some_ids(20));
    for (std::int64_t i = 0; i < a.shape.width(); ++i) ASSERT_EQ(a.row_f32(0)[i], b.row_f32(0)[i]);
}

// On learned weights gates are mostly small, so half of them go for little, and less than at random.
TEST(Sparsity, LearnedModelsLoseLittle) {
    const fs::path folder = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared";
    if (!fs::exists(folder / "models" / "victorian-8m-f32.gguf")) GTEST_SKIP() << "no reference models at " << folder;
    core::Pool pool(2);
    const auto model = LanguageModel::open((folder / "models" / "victorian-8m-f32.gguf").string());
    const std::string text = core::read_text_file((folder / "text" / "victorian-calibration.txt").string());
    const std::vector<text::TokenId> ids = model->tokenizer().encode(text.substr(0, 3000));
    Session plain(model, pool, {});
    double last = 0;
    for (const double share : {0.2, 0.5, 0.8}) {
        const Sparsity sparsity(plain, std::span(ids).first(200), {share, "cats"});
        Session sparse(model, pool, with(sparsity));
        const Comparison c = compare_steps(sparse, plain, std::span(ids).subspan(200), 100);
        EXPECT_GT(c.divergence, last);
        last = c.divergence;
        if (share == 0.5) {
            EXPECT_LT(c.divergence, 0.1);
        }
    }
}

TEST(Sparsity, RefusesWhatCannotBe) {
    core::Pool pool(1);
    Session session(tiny(), pool, {});
    EXPECT_THROW(Sparsity(session, some_ids(64), {0, "cats"}), core::Error);
    EXPECT_THROW(Sparsity(session, some_ids(64), {1, "cats"}), core::Error);
    EXPECT_THROW(Sparsity(session, some_ids(64), {0.5, "dogs"}), core::Error);
    EXPECT_THROW(Sparsity(session, some_ids(8), {0.5, "cats"}), core::Error);
}

}  // namespace
}  // namespace tailor::run
