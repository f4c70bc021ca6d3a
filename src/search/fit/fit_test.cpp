// A whole fit of a small synthetic model: budgets are met in real bytes, nothing is left behind, and a fit that is run
// again finds what it measured.
#include "search/fit.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "search/fit/sensitivity.h"

namespace tailor::search {
namespace {

namespace fs = std::filesystem;

class Fitting : public ::testing::Test {
  protected:
    Fitting() : folder(fs::temp_directory_path() / ("tailor_fit_" + std::to_string(::getpid()))) { fs::create_directories(folder); }
    ~Fitting() override { fs::remove_all(folder); }

    FitOptions options() const {
        FitOptions o;
        o.output = (folder / "fitted.gguf").string();
        o.window = 32;
        o.calibration_windows = 2, o.search_windows = 2, o.report_windows = 2;
        o.prompt_tokens = 32;
        o.search_seconds = 1.5;
        o.session.context = 96;
        // Few formats: timing each takes a while, and the knapsack is tested elsewhere.
        o.formats = {"q4_0", "q8_0", "f16", "f32"};
        return o;
    }
    std::size_t files_in_folder() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator())); }

    fs::path folder;
    core::Pool pool{2};
    measure::Store store{""};
    std::shared_ptr<run::LanguageModel> model = run::LanguageModel::from_file(files::make_synthetic("llama-tiny", formats::get("f32")));
};

TEST_F(Fitting, MeetsASizeBudgetInRealBytes) {
    FitOptions o = options();
    o.budgets.file_bytes = 110'000;
    const core::Json plan = fit(model, pool, store, o, {});
    EXPECT_LE(fs::file_size(o.output), 110'000u);
    EXPECT_EQ(1u, files_in_folder()) << "temporary files were left behind";
    const core::Json::Array& candidates = plan.at("candidates").items();
    ASSERT_GE(candidates.size(), 2u);
    const auto divergence = [](const core::Json& candidate) { return candidate.at("kl").at("mean").at("value").number(); };
    for (const core::Json& c : candidates) {
        if (!c.at("chosen").boolean()) continue;
        EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(o.output)), c.at("file_bytes").integer());
        EXPECT_TRUE(c.at("meets_budget").boolean());
        for (const core::Json& other : candidates) EXPECT_TRUE(!other.at("meets_budget").boolean() || divergence(c) <= divergence(other));
    }
    EXPECT_NE(plan.at("texts").at("search").at("hash").string(), plan.at("texts").at("report").at("hash").string());
    const auto written = run::LanguageModel::open(o.output);
    EXPECT_EQ(model->facts().parameters, written->facts().parameters);
}

TEST_F(Fitting, SecondRunFindsWhatTheFirstMeasured) {
    FitOptions o = options();
    o.budgets.file_bytes = 110'000;
    const core::Json first = fit(model, pool, store, o, {});
    o.search_seconds = 1e-9;
    const core::Json second = fit(model, pool, store, o, {});
    std::int64_t measured = 0;
    for (const core::Json& tensor : second.at("tensors").items())
        for (const core::Json& choice : tensor.at("choices").items()) measured += !choice.at("measured_kl").is_null();
    EXPECT_GT(measured, static_cast<std::int64_t>(second.at("tensors").items().size())) << "more than the source format of each weight";
}

TEST_F(Fitting, ImpossibleBudgetNamesTheNearest) {
    FitOptions o = options();
    o.budgets.file_bytes = 1000;
    try {
        fit(model, pool, store, o, {});
        FAIL() << "a thousand bytes are not enough";
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::budget, error.kind());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("at least")) << error.what();
    }
    EXPECT_EQ(0u, files_in_folder());
    o.budgets = {};
    EXPECT_THROW(fit(model, pool, store, o, {}), core::Error);
}

TEST(Predictions, InterpolateBetweenMeasuredErrorsAndScaleBeyondThem) {
    Group group{"w", {1, 1}, nullptr, {}};
    for (const double error : {0.4, 0.1, 0.01, 0.001, 0.0001}) group.choices.push_back({.error = error});
    group.choices[1].divergence = 0.2;    // error 0.1
    group.choices[3].divergence = 0.002;  // error 0.001
    std::vector<Group> groups = {group};
    predict_divergences(groups);
    const auto& c = groups[0].choices;
    EXPECT_NEAR(c[0].predicted, 0.8, 1e-9);
    EXPECT_NEAR(c[1].predicted, 0.2, 1e-9);
    EXPECT_NEAR(c[2].predicted, 0.02, 1e-9);
    EXPECT_NEAR(c[4].predicted, 0.0002, 1e-9);
}

}  // namespace
}  // namespace tailor::search
